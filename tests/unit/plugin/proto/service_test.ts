import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import assert from "node:assert/strict";
import {
  ExtendedAttributeType,
  FileInfoSchema,
  RecordSchema,
} from "../../../../src/plugin/proto/connectors_pb.ts";
import { Exporter, ExportRequestSchema } from "../../../../src/plugin/proto/exporter_pb.ts";
import { Importer, InitRequestSchema } from "../../../../src/plugin/proto/importer_pb.ts";
import { serviceOf } from "../../../../src/plugin/proto/service.ts";
import { startCall } from "../../rpc/grpc/echo_service.ts";
import { envelope } from "../../rpc/grpc/memory_stream.ts";

const bytesOf = (hex: string) => Uint8Array.fromHex(hex.replaceAll(/\s+/g, ""));

Deno.test("a FileInfo has the bytes that plakar reads", () => {
  const info = create(FileInfoSchema, {
    name: "a",
    size: 300n,
    mode: 2 ** 31 + 0o755,
    modTime: timestampFromMs(1000),
    dev: 1n,
    ino: 2n,
    uid: 3n,
    gid: 4n,
    nlink: 1,
    username: "u",
    groupname: "g",
    flags: 5,
  });
  const golden = bytesOf(`
    0a0161 10ac02 18ed83808008 22020801
    2801 3002 3803 4004 4801 520175 5a0167 6005`);
  assert.deepEqual(toBinary(FileInfoSchema, info), golden);
  assert.deepEqual(fromBinary(FileInfoSchema, golden), info);
});

Deno.test("a Record has the bytes that plakar reads", () => {
  const record = create(RecordSchema, {
    hasReader: true,
    pathname: "/a",
    error: "e",
    isXattr: true,
    xattrName: "x",
    xattrType: ExtendedAttributeType.ADS,
    target: "t",
    fileInfo: { size: 1n },
    extendedAttributes: ["p", "q"],
    fileAttributes: 7,
  });
  const golden = bytesOf("0801 12022f61 1a0165 2001 2a0178 3002 3a0174 42021001 4a0170 4a0171 5007");
  assert.deepEqual(toBinary(RecordSchema, record), golden);
  assert.deepEqual(fromBinary(RecordSchema, golden), record);
});

Deno.test("an InitRequest of plakar is understood", () => {
  // Options {hostname "h", os "o", arch "r", cwd "c", maxconcurrency 2, excludes "x", noxattr}, proto, one entry.
  const options = "0a0168 12016f 1a0172 220163 2802 320178 3801";
  const request = fromBinary(InitRequestSchema, bytesOf(`0a13 ${options} 120170 1a06 0a016b 120176`));
  assert.deepEqual([request.proto, request.config], ["p", { k: "v" }]);
  const { hostname, os, arch, cwd, maxconcurrency, excludes, noxattr } = request.options ?? {};
  assert.deepEqual([hostname, os, arch, cwd, maxconcurrency, excludes, noxattr], ["h", "o", "r", "c", 2n, [
    "x",
  ], true]);
});

Deno.test("an empty chunk of an export is told from a record", () => {
  assert.deepEqual(fromBinary(ExportRequestSchema, bytesOf("1200")).packet, {
    case: "chunk",
    value: new Uint8Array(),
  });
  assert.equal(fromBinary(ExportRequestSchema, bytesOf("0a00")).packet.case, "record");
});

Deno.test("serviceOf() answers the methods under the names that plakar calls", async () => {
  const services = {
    ...serviceOf(Importer, {
      init: ({ config }) => ({ origin: config["location"] ?? "", flags: 20 }),
      ping: () => ({}),
      import: (_, responses) => responses.send({ record: { pathname: "/" } }),
      open: ({ record }, responses) => responses.send({ chunk: new TextEncoder().encode(record?.pathname) }),
      close: () => ({}),
    }),
    ...serviceOf(Exporter, {
      init: () => ({}),
      ping: () => ({}),
      export: (_, responses) => responses.send({ result: { error: "e" } }),
      close: () => ({}),
    }),
  };
  const answerOf = async (path: string, request: string) => {
    const { stream, answered } = startCall(services, path);
    stream.send(envelope(bytesOf(request))).halfClose();
    await answered;
    assert.equal(stream.status[0], 0, path);
    return stream.body.slice(5).toHex();
  };
  assert.equal(await answerOf("/importer.Importer/Init", "1a0d 0a086c6f636174696f6e 120178"), "0a01782014");
  assert.equal(await answerOf("/importer.Importer/Ping", ""), "");
  assert.equal(await answerOf("/importer.Importer/Import", ""), "0a0312012f");
  assert.equal(await answerOf("/importer.Importer/Open", "0a0412022f61"), "0a022f61");
  assert.equal(await answerOf("/importer.Importer/Close", ""), "");
  for (const method of ["Init", "Ping", "Close"]) {
    assert.equal(await answerOf(`/plakar.exporter.Exporter/${method}`, ""), "");
  }
  assert.equal(await answerOf("/plakar.exporter.Exporter/Export", ""), "0a03120165");
});
