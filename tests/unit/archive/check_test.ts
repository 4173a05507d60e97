import assert from "node:assert/strict";
import { checkArchive } from "../../../src/archive/check.ts";
import {
  ArchiveDamage,
  type ArchiveHead,
  type Compression,
  type DecoderFactory,
} from "../../../src/archive/contents.ts";
import { UserError } from "../../../src/core/errors.ts";
import { checked, golden, run } from "./helpers.ts";
import { containerTar, fillRich, PCT_CONF } from "./tar_tree.ts";
import { buildVma, clusters, joinBytes } from "./vma_bytes.ts";

const TOOLS: Readonly<Record<Compression, string[]>> = {
  none: ["cat"],
  gzip: ["gzip", "--rsyncable", "-c"],
  zstd: ["zstd", "-qc", "--threads=2"],
  lzo: ["lzop", "-c"],
  bzip2: ["bzip2", "-c"],
};
const DECODERS = { zstd: ["zstd", "-qdc"], lzo: ["lzop", "-dc"], bzip2: ["bzip2", "-dc"] };

/** Decompresses with the real tool, when all input is there. */
const decoder: DecoderFactory = (compression, onOutput) => {
  const input: Uint8Array[] = [];
  return Promise.resolve({
    write: (chunk) => Promise.resolve(void input.push(chunk.slice())),
    end: async () => {
      const output = await run(DECODERS[compression], joinBytes(...input));
      for (let start = 0; start < output.length; start += 30000) {
        await onOutput(output.subarray(start, start + 30000));
      }
    },
    cancel: () => Promise.resolve(),
  });
};

const VM_DISKS = [
  { key: "scsi0", size: 4194304, storage: "local-lvm" },
  { key: "scsi1", size: 9437184, storage: "fast" },
];

for (const compression of ["none", "gzip", "zstd", "lzo", "bzip2"] as const) {
  Deno.test(`checkArchive() walks the contents of a VM archive, compression ${compression}`, async () => {
    const archive = await run(TOOLS[compression], await golden("two-disks"));
    for (const expected of [{ kind: "qemu" as const }, { kind: "qemu" as const, compression }]) {
      const { config, ...contents } = await checked(expected, archive, { decoder });
      assert.match(config ?? "", /^scsi0: local-lvm:vm-101-disk-0,size=4M$/m);
      assert.deepEqual(contents, {
        kind: "qemu",
        format: "vma",
        compression,
        bytes: archive.length,
        depth: "contents",
        disks: VM_DISKS,
      });
    }
  });

  Deno.test(`checkArchive() walks the contents of a container archive, compression ${compression}`, async () => {
    const archive = await run(
      TOOLS[compression],
      await containerTar({ fill: fillRich, firewall: "[RULES]\n" }),
    );
    assert.deepEqual(await checked({ kind: "lxc", compression }, archive, { decoder, chunkSize: 1000 }), {
      kind: "lxc",
      format: "tar",
      compression,
      bytes: archive.length,
      depth: "contents",
      config: PCT_CONF,
      firewall: "[RULES]\n",
      disks: [{ key: "rootfs", size: 8 * 2 ** 30, storage: "local-lvm" }],
    });
  });
}

for (const compression of ["zstd", "lzo"] as const) {
  Deno.test(`checkArchive() walks only the frames of ${compression} when it has no decoder`, async () => {
    const archive = await run(TOOLS[compression], await golden("one-disk"));
    assert.deepEqual(await checked({ kind: "qemu", compression }, archive), {
      kind: "qemu",
      format: "vma",
      compression,
      bytes: archive.length,
      depth: "frames",
    });
    await assert.rejects(checked({ kind: "qemu" }, archive.slice(0, -1)), /^ArchiveDamage: Archive is cut: /);
  });

  Deno.test(`checkArchive() names the byte of a cut in ${compression}, not the decoder's words`, async () => {
    const archive = await run(TOOLS[compression], await golden("one-disk"));
    await assert.rejects(
      checked({ kind: "qemu" }, archive.slice(0, -1), { decoder }),
      new RegExp(`^ArchiveDamage: Archive is cut: it ends at byte ${archive.length - 1}, `),
    );
  });

  Deno.test(`checkArchive() names the byte of damage inside ${compression} as one of the decompressed archive`, async () => {
    const cut = (await golden("several-extents")).slice(0, 12800 + 100);
    await assert.rejects(
      checked({ kind: "qemu" }, await run(TOOLS[compression], cut), { decoder }),
      /^ArchiveDamage: Decompressed archive is cut: it ends at byte 12900, inside the extent header at byte 12800$/,
    );
  });
}

Deno.test("checkArchive() needs a decoder for bzip2", async () => {
  const archive = await run(TOOLS.bzip2, await golden("diskless"));
  await assert.rejects(
    checked({ kind: "qemu" }, archive),
    /^ArchiveDamage: Archive has compression "bzip2", which cannot be checked here without its tool$/,
  );
});

Deno.test("checkArchive() refuses what is empty, cut short or nothing at all", async () => {
  const archive = await golden("diskless");
  await assert.rejects(checked({ kind: "qemu" }, archive.slice(0, 0)), /^ArchiveDamage: Archive is empty$/);
  await assert.rejects(
    checked({ kind: "qemu" }, archive.slice(0, 10)),
    /^ArchiveDamage: Archive is cut: it ends at byte 10, /,
  );
  await assert.rejects(
    checked({ kind: "qemu" }, new Uint8Array(10240)),
    /^ArchiveDamage: Archive is nothing that vzdump writes: it begins with 00 00 00 00 00 00 00 00$/,
  );
  await assert.rejects(
    checked({ kind: "lxc" }, new TextEncoder().encode("<h")),
    /^ArchiveDamage: Archive is nothing that vzdump writes: it begins with 3c 68$/,
  );
});

Deno.test("checkArchive() refuses another compression than expected", async () => {
  const archive = await golden("diskless");
  await assert.rejects(
    checked({ kind: "qemu", compression: "zstd" }, archive),
    /^ArchiveDamage: Archive has compression "none" where "zstd" is expected$/,
  );
  await assert.rejects(
    checked({ kind: "qemu", compression: "none" }, await run(TOOLS.gzip, archive)),
    /^ArchiveDamage: Archive has compression "gzip" where "none" is expected$/,
  );
});

Deno.test("checkArchive() refuses a container's archive for a VM and the other way round, compressed or not", async () => {
  const tar = await containerTar();
  const vma = await golden("diskless");
  for (
    const [kind, archive, message] of [["qemu", tar, /it is tar where vma is expected$/], [
      "lxc",
      vma,
      /it is vma where tar is expected$/,
    ]] as const
  ) {
    await assert.rejects(checked({ kind }, archive), message);
    await assert.rejects(checked({ kind }, await run(TOOLS.gzip, archive)), message);
    await assert.rejects(checked({ kind }, await run(TOOLS.zstd, archive), { decoder }), message);
  }
});

Deno.test("checkArchive() refuses a VM archive without its configuration", async () => {
  const archive = buildVma({
    configs: [{ name: "other.conf", data: "x" }],
    devices: [{ name: "drive-scsi0", size: 65536 }],
    extents: [{ entries: clusters(1, 0, 1) }],
  });
  await assert.rejects(
    checked({ kind: "qemu" }, archive),
    /it holds no VM configuration, no qemu-server\.conf$/,
  );
});

Deno.test("checkArchive() reads a configuration that is not UTF-8", async () => {
  const data = new Uint8Array([...new TextEncoder().encode("name: gr"), 0xfc, 0x6e, 0x0a]);
  const archive = buildVma({ configs: [{ name: "qemu-server.conf", data }], extents: [{ entries: [] }] });
  const { config, disks, firewall } = await checked({ kind: "qemu" }, archive);
  assert.equal(config, "name: gr\u00fcn\n");
  assert.deepEqual(disks, []);
  assert.equal(firewall, undefined);
});

Deno.test("checkArchive() works at once on uncompressed archives, whatever the chunks", async () => {
  const archive = await golden("one-disk");
  for (const size of [1, 100, 32768, archive.length]) {
    const check = checkArchive({ kind: "qemu", compression: "none" });
    for (let start = 0; start < archive.length; start += size) {
      assert.equal(check.push(archive.subarray(start, start + size)), undefined);
    }
    assert.equal((await check.end()).bytes, archive.length);
  }
});

Deno.test("checkArchive() turns a decoder's complaint into damage and frees the decoder", async () => {
  const archive = await run(TOOLS.zstd, await golden("diskless"));
  let cancelled = 0;
  const failing: DecoderFactory = () =>
    Promise.resolve({
      write: () => Promise.reject(new Error("zstd: corrupted block")),
      end: () => Promise.resolve(),
      cancel: () => Promise.resolve(void (cancelled += 1)),
    });
  await assert.rejects(
    checked({ kind: "qemu" }, archive, { decoder: failing }),
    new RegExp(
      `^ArchiveDamage: Archive is damaged before byte ${archive.length}: it cannot be decompressed \\(zstd: corrupted block\\)$`,
    ),
  );
  assert.equal(cancelled, 1);
});

Deno.test("checkArchive() stops at damaged contents, also when the decoder swallows that", async () => {
  const archive = await run(TOOLS.zstd, await golden("one-disk"));
  const deaf: DecoderFactory = (_, onOutput) =>
    Promise.resolve({
      write: async () => {
        await Promise.resolve(new Uint8Array(1000)).then(onOutput).catch(() => {});
      },
      end: () => Promise.resolve(),
      cancel: () => Promise.resolve(),
    });
  const check = checkArchive({ kind: "qemu" }, deaf);
  await assert.rejects(
    async () => await check.push(archive),
    /^ArchiveDamage: Decompressed archive is damaged at byte 0: /,
  );
});

Deno.test("checkArchive() lets a decoder that cannot work say so itself", async () => {
  const archive = await run(TOOLS.zstd, await golden("diskless"));
  const missing: DecoderFactory = () => Promise.reject(new UserError("failed", "Cannot start zstd"));
  await assert.rejects(checked({ kind: "qemu" }, archive, { decoder: missing }), UserError);
});

Deno.test("checkArchive() frees a running decoder on cancel", async () => {
  const archive = await run(TOOLS.lzo, await golden("one-disk"));
  const reasons: unknown[] = [];
  const waiting: DecoderFactory = () =>
    Promise.resolve({
      write: () => Promise.resolve(),
      end: () => Promise.resolve(),
      cancel: (reason) => Promise.resolve(void reasons.push(reason)),
    });
  const check = checkArchive({ kind: "qemu" }, waiting);
  await check.push(archive.subarray(0, 1000));
  await check.cancel("stop");
  assert.deepEqual(reasons, ["stop"]);
  await checkArchive({ kind: "qemu" }).cancel("nothing began");
});

Deno.test("checkArchive() frees gzip's inflater when the contents are damaged", async () => {
  const cut = (await golden("one-disk")).slice(0, 100000);
  const archive = await run(TOOLS.gzip, joinBytes(cut, cut));
  await assert.rejects(checked({ kind: "qemu" }, archive), (error) => {
    assert.ok(error instanceof ArchiveDamage);
    assert.match(error.message, /^Decompressed archive is damaged at byte \d+: /);
    return true;
  });
});

for (const compression of ["none", "gzip", "zstd"] as const) {
  Deno.test(`checkArchive() tells what stands at the beginning long before the end, compression ${compression}`, async () => {
    const streaming: DecoderFactory = (_, onOutput) => {
      const rest = golden("one-disk");
      return Promise.resolve({
        write: async () => await onOutput((await rest).subarray(0, 20000)),
        end: () => Promise.resolve(),
        cancel: () => Promise.resolve(),
      });
    };
    const archive = await run(TOOLS[compression], await golden("one-disk"));
    const heads: ArchiveHead[] = [];
    const check = checkArchive({ kind: "qemu", onHead: (head) => heads.push(head) }, streaming);
    await check.push(archive.subarray(0, 40000));
    await check.cancel("enough seen");
    assert.equal(heads.length, 1);
    assert.equal(heads[0]?.compression, compression);
    assert.match(heads[0]?.config ?? "", /^name: web$/m);
    assert.deepEqual(heads[0]?.disks, VM_DISKS.slice(0, 1));
  });
}

Deno.test("checkArchive() tells a container's configuration before its files have passed", async () => {
  const archive = await containerTar();
  const heads: ArchiveHead[] = [];
  const check = checkArchive({ kind: "lxc", onHead: (head) => heads.push(head) });
  await check.push(archive.subarray(0, 2560));
  assert.equal(heads.length, 1);
  assert.equal(heads[0]?.config, PCT_CONF);
  await check.push(archive.subarray(2560));
  await check.end();
  assert.equal(heads.length, 1);
});
