import assert from "node:assert/strict";
import { walkTar } from "../../../src/archive/tar.ts";
import { damageOf, run, seededRandom, walked } from "./helpers.ts";
import { containerTar, fillRich, PCT_CONF, PVE_TAR, withDirectory } from "./tar_tree.ts";
import { joinBytes } from "./vma_bytes.ts";

/** How many members GNU tar itself lists. */
async function listed(archive: Uint8Array<ArrayBuffer>): Promise<number> {
  const names = new TextDecoder().decode(await run(["tar", "tf", "-"], archive));
  return names.trimEnd().split("\n").length;
}

function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

Deno.test("walkTar() walks what vzdump's tar command writes, in chunks of any size", async () => {
  const archive = await containerTar({ firewall: "[OPTIONS]\nenable: 1\n", fill: fillRich });
  const random = seededRandom(1);
  for (const size of [2, 511, 512, 4096, 65536, archive.length, () => 1 + random(3000)]) {
    const contents = walked(walkTar, archive, size);
    assert.equal(text(contents.config), PCT_CONF);
    assert.equal(text(contents.firewall), "[OPTIONS]\nenable: 1\n");
    assert.equal(contents.members, await listed(archive));
  }
});

for (const format of ["pax", "gnu", "oldgnu", "ustar"]) {
  Deno.test(`walkTar() walks a tar of format ${format}`, async () => {
    const tar = ["tar", "cpf", "-", `--format=${format}`, "--sparse"];
    // ustar cannot hold long names, nor files above 8 GiB.
    const archive = await containerTar(
      format === "ustar" ? { tar: tar.slice(0, 4) } : { tar, fill: fillRich },
    );
    const contents = walked(walkTar, archive, 1000);
    assert.equal(text(contents.config), PCT_CONF);
    assert.equal(contents.members, await listed(archive));
  });
}

for (const format of ["pax", "gnu"]) {
  Deno.test(`walkTar() passes a member above 8 GiB that is stored whole, format ${format}`, async () => {
    // Only tar's first bytes are needed: its header with the size, then zeros up to the end of that member.
    const size = 9 * 2 ** 30;
    const head = await withDirectory(async (directory) => {
      await run(["truncate", "-s", String(size), `${directory}/big`]);
      return await run([
        "sh",
        "-c",
        `tar cf - --format=${format} -C ${directory} ./big 2>/dev/null | head -c 4096`,
      ]);
    });
    const headerEnd = format === "pax" ? 1536 : 512;
    const archive = await containerTar({ fill: () => Promise.resolve() });
    let message = "";
    try {
      walked(walkTar, joinBytes(archive.subarray(0, endOfMembers(archive)), head.subarray(0, headerEnd)));
    } catch (error) {
      message = String(error);
    }
    assert.match(message, new RegExp(`, ${size} bytes before the end of the member that ends at byte`));
  });
}

/** Where the end mark begins. */
function endOfMembers(archive: Uint8Array): number {
  let end = archive.length;
  while (archive.subarray(end - 512, end).every((byte) => byte === 0)) end -= 512;
  return end;
}

Deno.test("walkTar() notices a cut at each block and inside each, up to the end mark's end", async () => {
  const archive = await containerTar({ fill: fillRich });
  const whole = endOfMembers(archive) + 1024;
  for (let length = 0; length < whole; length += 512) {
    for (const cut of [length, length + 1, length + 511]) {
      const message = damageOf(walkTar, archive.subarray(0, cut))?.message ?? "";
      assert.match(message, new RegExp(`^Archive is cut: it ends at byte ${cut}, `));
    }
  }
  for (let length = whole; length <= archive.length; length += 512) {
    assert.equal(damageOf(walkTar, archive.subarray(0, length)), undefined);
  }
});

Deno.test("walkTar() notices a cut at a member's boundary, which tar takes for a good end", async () => {
  const archive = await containerTar();
  const cut = archive.slice(0, endOfMembers(archive));
  await run(["tar", "tf", "-"], cut);
  assert.match(damageOf(walkTar, cut)?.message ?? "", /the end mark of the tar is missing$/);
});

Deno.test("walkTar() notices each changed byte of each header", async () => {
  const archive = await containerTar();
  const random = seededRandom(2);
  let headers = 0;
  for (let start = 0; start < endOfMembers(archive); start += 512) {
    if (text(archive.subarray(start + 257, start + 262)) !== "ustar") continue;
    headers += 1;
    for (let offset = start; offset < start + 512; offset++) {
      const old = archive[offset] ?? 0;
      // Not the bits that make a leading zero a space, which means the same.
      archive[offset] = old ^ (1 << random(4));
      // The last digits of the checksum field are followed by NUL and a space that mean nothing.
      const isFiller = offset === start + 154 || offset === start + 155;
      if (!isFiller) {
        assert.ok(damageOf(walkTar, archive), `byte ${offset - start} of the header at ${start}`);
      }
      archive[offset] = old;
    }
  }
  assert.ok(headers > 8);
});

Deno.test("walkTar() notices what follows the end mark, and a zero block among the members", async () => {
  const archive = await containerTar();
  assert.equal(damageOf(walkTar, joinBytes(archive, new Uint8Array(20480)))?.message, undefined);
  assert.equal(
    damageOf(walkTar, joinBytes(archive, new Uint8Array([0, 0, 1])))?.message,
    `Archive is damaged at byte ${archive.length + 2}: something follows the end mark of the tar`,
  );
  assert.ok(damageOf(walkTar, joinBytes(archive, archive)));
  const end = endOfMembers(archive);
  const members = archive.subarray(0, end);
  assert.equal(
    damageOf(walkTar, joinBytes(members, new Uint8Array(512), members, new Uint8Array(1024)))?.message,
    `Archive is damaged at byte ${end}: a single zero block stands among the members`,
  );
});

Deno.test("walkTar() refuses a tar without a container's configuration", async () => {
  const archive = await run(["tar", "cf", "-", "-C", "/etc", "./hostname"]);
  assert.match(damageOf(walkTar, archive)?.message ?? "", /it holds no container configuration/);
});

Deno.test("walkTar() takes the first pct.conf, with or without ./", async () => {
  const own = async (root: string) => {
    await Deno.mkdir(`${root}/etc/vzdump`, { recursive: true });
    await Deno.writeTextFile(`${root}/etc/vzdump/pct.conf`, "hostname: inner\n");
  };
  assert.equal(text(walked(walkTar, await containerTar({ fill: own })).config), PCT_CONF);
  const plain = await withDirectory(async (directory) => {
    await own(directory);
    return await run(["tar", "cf", "-", "-C", directory, "etc/vzdump/pct.conf"]);
  });
  assert.equal(text(walked(walkTar, plain).config), "hostname: inner\n");
});

Deno.test("walkTar() reads a pct.conf that tar stored as a sparse file", async () => {
  const config = `hostname: web\n${"#".repeat(9000)}\n`;
  const archive = await withDirectory(async (directory) => {
    await Deno.mkdir(`${directory}/etc/vzdump`, { recursive: true });
    const path = `${directory}/etc/vzdump/pct.conf`;
    await Deno.writeTextFile(path, config);
    await run(["truncate", "-s", "300000", path]);
    return await run([...PVE_TAR, "-C", directory, "./etc/vzdump/pct.conf"]);
  });
  assert.match(text(archive.subarray(0, 4096)), /GNUSparseFile/);
  const contents = text(walked(walkTar, archive).config);
  assert.equal(contents.length, 300000);
  assert.ok(contents.startsWith(config));
});

Deno.test("walkTar() takes no memory for what a header claims", async () => {
  const huge = await withDirectory(async (directory) => {
    await Deno.mkdir(`${directory}/etc/vzdump`, { recursive: true });
    await Deno.writeFile(`${directory}/etc/vzdump/pct.conf`, new Uint8Array(1024 * 1024 + 1).fill(35));
    return await run(["tar", "cf", "-", "-C", directory, "./etc/vzdump/pct.conf"]);
  });
  assert.match(damageOf(walkTar, huge)?.message ?? "", /pct\.conf claims 1048577 bytes$/);
});

Deno.test("walkTar() never fails but by ArchiveDamage, whatever bytes are changed", async () => {
  const archive = await containerTar({ fill: fillRich });
  const random = seededRandom(11);
  for (let round = 0; round < 300; round++) {
    const spoiled = archive.slice(0, random(3) === 0 ? random(archive.length) : archive.length);
    for (let change = random(5); change >= 0; change--) spoiled[random(spoiled.length)] = random(256);
    damageOf(walkTar, spoiled, 1 + random(70000));
  }
});
