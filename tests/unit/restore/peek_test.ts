import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import { drain } from "../../../src/core/bytes.ts";
import { peekArchive, readHead } from "../../../src/restore/peek.ts";
import type { DecoderFactory } from "../../../src/archive/contents.ts";
import { LocalRunner } from "../../../src/runner/local.ts";
import { decoderTools } from "../../../src/setup/decoders.ts";
import { needs } from "../../needs.ts";
import { run } from "../archive/helpers.ts";
import { containerTar, PCT_CONF } from "../archive/tar_tree.ts";
import { buildVma, clusters } from "../archive/vma_bytes.ts";
import { SOURCE_KINDS, TestSource } from "../core/test_source.ts";

const CONFIG = "name: web\nscsi0: fast:vm-101-disk-0,size=20M\n#qmdump#map:scsi0:drive-scsi0:fast:raw:\n";
const VMA = buildVma({
  configs: [{ name: "qemu-server.conf", data: CONFIG }],
  devices: [{ name: "drive-scsi0", size: 320 * 65536 }],
  extents: [0, 1, 2, 3, 4, 5].map((part) => ({
    entries: clusters(1, part * 59, Math.min(320, part * 59 + 59), 0xffff),
  })),
});
const DISKS = [{ key: "scsi0", size: 320 * 65536, storage: "fast" }];
const noDecoder: DecoderFactory = () => Promise.reject(new Error("the test has no decoder"));

for (const [kind, options] of [...SOURCE_KINDS, ["single bytes", { chunk: 1 }]] as const) {
  Deno.test(`peekArchive() reads a VM's configuration and disks out of ${kind}, and no further`, async () => {
    const source = new TestSource(VMA, options);
    const head = await peekArchive(source, "qemu", noDecoder);
    assert.deepEqual([head.compression, head.config, head.disks], ["none", CONFIG, DISKS]);
    assert.ok(source.delivered <= 2 * 1024 * 1024, `${source.delivered} bytes were read`);
    assert.equal(source.cancels.length, 1);
  });
}

Deno.test({
  name: "peekArchive() reads a container's configuration",
  ...needs("tar"),
  async fn() {
    const head = await peekArchive(new TestSource(await containerTar()), "lxc", noDecoder);
    assert.equal(head.config, PCT_CONF);
    assert.deepEqual(head.disks, [{ key: "rootfs", size: 8 * 1024 ** 3, storage: "local-lvm" }]);
  },
});

Deno.test("peekArchive() reads a gzip archive, also one that is over before its head is known", async () => {
  for (const chunk of [1000, 1024 * 1024]) {
    const source = new TestSource(new Uint8Array(gzipSync(VMA)), { chunk });
    const head = await peekArchive(source, "qemu", noDecoder);
    assert.deepEqual([head.compression, head.config], ["gzip", CONFIG]);
    assert.equal(source.cancels.length, 1);
  }
});

for (const [kind, options] of [...SOURCE_KINDS, ["odd chunks", { chunk: 1009 }]] as const) {
  Deno.test(`readHead() answers the head and all of the archive from its first byte, out of ${kind}`, async () => {
    for (const bytes of [VMA, new Uint8Array(gzipSync(VMA))]) {
      const source = new TestSource(bytes, options);
      const begun = await readHead(source, "qemu", noDecoder);
      assert.deepEqual([begun.head.config, begun.head.disks], [CONFIG, DISKS]);
      const parts: Uint8Array<ArrayBuffer>[] = [];
      await drain(begun.source, (chunk) => void parts.push(chunk.slice()));
      assert.deepEqual(new Uint8Array(await new Blob(parts).arrayBuffer()), bytes);
      assert.deepEqual(source.cancels, []);
    }
  });
}

Deno.test("readHead() frees a source whose beginning is damaged, or that can be given up later", async () => {
  const damaged = new TestSource(VMA.map((byte, index) => index === 300 ? byte ^ 1 : byte));
  await assert.rejects(readHead(damaged, "qemu", noDecoder), /damaged/);
  assert.equal(damaged.cancels.length, 1);
  const source = new TestSource(VMA, { chunk: 65536 });
  const begun = await readHead(source, "qemu", noDecoder);
  await begun.source.cancel("enough");
  assert.deepEqual(source.cancels, ["enough"]);
});

for (const [tool, argv] of [["zstd", ["zstd", "-qc"]], ["lzop", ["lzop", "-c"]]] as const) {
  Deno.test({
    name: `peekArchive() reads an archive of ${tool} by its tool, and leaves no process behind`,
    ...needs(tool),
    async fn() {
      const source = new TestSource(await run(argv, VMA), { chunk: 1000 });
      const head = await peekArchive(source, "qemu", decoderTools(new LocalRunner()));
      assert.deepEqual([head.compression, head.disks], [tool === "lzop" ? "lzo" : "zstd", DISKS]);
    },
  });
}

Deno.test("peekArchive() takes a beginning that is whole, whatever follows", async () => {
  const head = await peekArchive(new TestSource(VMA.subarray(0, 20_000)), "qemu", noDecoder);
  assert.equal(head.config, CONFIG);
});

Deno.test("peekArchive() refuses what is no archive of the kind, and frees the source", async () => {
  const cases: [Uint8Array, "qemu" | "lxc", RegExp][] = [
    [new Uint8Array(0), "qemu", /empty/],
    [new Uint8Array(100_000), "qemu", /nothing that vzdump writes/],
    [VMA, "lxc", /vma where tar is expected/],
    [VMA.subarray(0, 5000), "qemu", /./],
    [buildVma({ configs: [{ name: "other.conf", data: "" }] }), "qemu", /no VM configuration/],
  ];
  for (const [bytes, kind, said] of cases) {
    const source = new TestSource(bytes);
    await assert.rejects(peekArchive(source, kind, noDecoder), { name: "ArchiveDamage", message: said });
    assert.equal(source.cancels.length, 1);
  }
});

Deno.test("peekArchive() tells why a source cannot be read", async () => {
  const error = new Error("Input/output error");
  const source = new TestSource(VMA, { failAt: 100, error });
  await assert.rejects(peekArchive(source, "qemu", noDecoder), error);
});
