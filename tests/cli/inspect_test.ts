// deno-lint-ignore-file no-sync-fn-in-async-fn -- nothing else runs meanwhile
import assert from "node:assert/strict";
import type { GuestSpec } from "../pve/mod.ts";
import { type Bed, makeBed } from "./harness.ts";

const VM: GuestSpec = {
  vmid: 101,
  name: "web",
  disks: [{ key: "scsi0", size: "8M" }, { key: "scsi1", size: "4M", options: "backup=0" }],
};
const CT: GuestSpec = { vmid: 105, kind: "lxc", name: "mail" };

/** A bed whose guests were backed up, and the archives by vmid. */
async function makeArchives(compression: string): Promise<{ bed: Bed; archives: Record<number, string> }> {
  const bed = await makeBed({ guests: [VM, CT] });
  const { status, stderr } = await bed.run([
    "backup",
    "--all",
    "--to",
    bed.store,
    "--backup-compression",
    compression,
  ]);
  assert.equal(status, 0, stderr);
  const { path, names } = bed.snapshot();
  const archive = (vmid: number) =>
    `${path}/${
      names.find((name) =>
        name.startsWith("vzdump-") && name.includes(`-${vmid}-`) && !name.endsWith(".json")
      )
    }`;
  return { bed, archives: { 101: archive(101), 105: archive(105) } };
}

for (const compression of ["0", "gzip", "lzo", "zstd"]) {
  Deno.test(`inspect tells what archives with --backup-compression ${compression} are, and proves them whole`, async () => {
    const { bed, archives } = await makeArchives(compression);
    await using _ = bed;
    const packed = { "0": "none", gzip: "gzip", lzo: "lzo", zstd: "zstd" }[compression];
    const [vm] = (await bed.run(["inspect", archives[101]!, "--json", "--check"])).json;
    const { kind, format, compression: found, vmid, name, whole, oddities, restore } = vm;
    assert.deepEqual({ kind, format, found, vmid, name, whole, oddities, restore }, {
      kind: "qemu",
      format: "vma",
      found: packed,
      vmid: 101,
      name: "web",
      whole: true,
      oddities: [],
      restore: [`qmrestore ${archives[101]} 101`],
    });
    assert.deepEqual(vm.disks.map(({ key, size }: { key: string; size: number }) => [key, size]), [
      ["scsi0", 8 * 1024 ** 2],
    ]);
    const [ct] = (await bed.run(["inspect", archives[105]!, "--json"])).json;
    assert.deepEqual([ct.kind, ct.format, ct.name, ct.whole], ["lxc", "tar", "mail", undefined]);
    assert.deepEqual(ct.restore, [`pct restore 105 ${archives[105]} --storage local-lvm`]);
  });
}

Deno.test("inspect tells people what is not in an archive, and how to restore it by hand", async () => {
  const { bed, archives } = await makeArchives("zstd");
  await using _ = bed;
  const { status, stdout, stderr } = await bed.run(["inspect", archives[101]!]);
  assert.equal(status, 0, stderr);
  assert.match(stdout, /^guest +VM 101 "web"$/m);
  assert.match(stdout, /^format +VMA, compressed by zstd$/m);
  assert.match(stdout, /^not in it +scsi1, disk .*backup=0/m);
  assert.match(stdout, /^whole +not checked; pass --check$/m);
  const command = /^restore +(qmrestore .*)$/m.exec(stdout)?.[1] ?? "";
  bed.node.destroyGuest(101);
  const restored = new Deno.Command("sh", { args: ["-c", command], env: bed.env, stdin: "null" })
    .outputSync();
  assert.equal(restored.code, 0, new TextDecoder().decode(restored.stderr));
  assert.equal(bed.node.guest(101)?.entries.name, "web");
});

Deno.test("inspect goes by the content where the name lies, and gives the commands that put it right", async () => {
  const { bed, archives } = await makeArchives("gzip");
  await using _ = bed;
  const odd = `${bed.store}/it's the mail.vma`;
  Deno.copyFileSync(archives[105]!, odd);
  const [said] = (await bed.run(["inspect", odd, "--json"])).json;
  assert.deepEqual([said.kind, said.compression, said.vmid], ["lxc", "gzip", undefined]);
  assert.match(said.oddities[0], /pct restore takes only names/);
  assert.match(said.restore[0], /^mv -- '.*it'\\''s the mail\.vma' .*\/vzdump-lxc-100-.*\.tar\.gz$/);
  const wrong = `${bed.store}/vzdump-lxc-105-2026_01_31-12_00_00.tar.zst`;
  Deno.copyFileSync(archives[105]!, wrong);
  const { status, stdout } = await bed.run(["inspect", wrong]);
  assert.equal(status, 0);
  assert.match(stdout, /^name +its name says compression "zstd", but it has "gzip"$/m);
});

Deno.test("inspect exits 5 for an archive that is cut, and only --check finds a cut behind the head", async () => {
  const { bed, archives } = await makeArchives("0");
  await using _ = bed;
  const bytes = Deno.readFileSync(archives[101]!);
  Deno.writeFileSync(archives[101]!, bytes.subarray(0, bytes.length - 512));
  assert.equal((await bed.run(["inspect", archives[101]!])).status, 0);
  const cut = await bed.run(["inspect", archives[101]!, "--check"]);
  assert.equal(cut.status, 5);
  assert.match(cut.stdout, /^whole +NO$/m);
  assert.match(cut.stderr, /^Damaged: ".*": .*ends/m);
  Deno.writeFileSync(archives[101]!, bytes.subarray(0, 600));
  const [beheaded] = (await bed.run(["inspect", archives[101]!, "--json"])).json;
  assert.deepEqual([beheaded.whole, beheaded.kind], [false, undefined]);
  Deno.writeFileSync(archives[101]!, new Uint8Array());
  assert.equal((await bed.run(["inspect", archives[101]!])).status, 5);
});

Deno.test("inspect refuses what is no file", async () => {
  await using bed = await makeBed({});
  for (const words of [[], ["/"], ["/none"], ["a", "b"]]) {
    assert.equal((await bed.run(["inspect", ...words])).status, 2, words.join(" "));
  }
});
