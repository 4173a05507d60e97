import assert from "node:assert/strict";
import { UserError } from "../../../../src/core/errors.ts";
import { bidiStreaming, serverStreaming, unary } from "../../../../src/rpc/grpc/methods.ts";
import { GrpcError, Status } from "../../../../src/rpc/grpc/status.ts";
import { ECHO, echo, startCall, TEXT } from "./echo_service.ts";
import { envelope, type MemoryStream } from "./memory_stream.ts";

/** Runs one call of a unary method that throws `error`. */
async function callFailing(error: unknown): Promise<MemoryStream> {
  const method = unary(TEXT, () => {
    throw error;
  });
  const { stream, answered } = startCall({ "test.Fail": { Now: method } }, "/test.Fail/Now");
  stream.sendOnly("");
  await answered;
  return stream;
}

Deno.test("the gRPC server answers a unary call with header, message and status", async () => {
  const stream = await echo("Upper", ["hello"]);
  assert.deepEqual(stream.events, ["headers", "data", "trailers"]);
  assert.equal(stream.fields[":status"], "200");
  assert.equal(stream.fields["content-type"], "application/grpc");
  assert.deepEqual(stream.messages, ["HELLO"]);
  assert.deepEqual(stream.trailers, { "grpc-status": "0" });
});

Deno.test("the gRPC server answers the three kinds of streaming calls", async () => {
  assert.deepEqual((await echo("Split", ["one two three"])).messages, ["one", "two", "three"]);
  assert.deepEqual((await echo("Join", ["one", "two", "three"])).messages, ["one two three"]);
  assert.deepEqual((await echo("Each", ["one", "two"])).messages, ["one!", "two!"]);
});

Deno.test("the gRPC server ends a stream without any response by its status", async () => {
  for (const [method, messages] of [["Split", [""]], ["Each", []]] as const) {
    const stream = await echo(method, [...messages]);
    assert.deepEqual(stream.events, ["headers", "trailers"]);
    assert.equal(stream.fields[":status"], "200");
    assert.equal(stream.fields["content-type"], "application/grpc");
    assert.deepEqual(stream.status, [Status.OK, ""]);
  }
});

Deno.test("the gRPC server answers an unknown method with UNIMPLEMENTED", async () => {
  const paths = ["/test.Echo/Nothing", "/test.Other/Upper", "/Upper", "", "/test.Echo/", "/test.Echo/Upper/"];
  for (const path of [...paths, "/test.Echo/constructor", "/__proto__/toString", "test.Echo/Upper"]) {
    const { stream, answered } = startCall(ECHO, path);
    stream.sendOnly("hello");
    await answered;
    assert.deepEqual(stream.events, ["headers", "trailers"]);
    assert.equal(stream.fields[":status"], "200");
    assert.deepEqual(stream.status, [Status.UNIMPLEMENTED, `Unknown method "${path}"`]);
  }
});

Deno.test("the gRPC server takes the content types of protobuf", async () => {
  const types = ["application/grpc", "application/grpc+proto", "application/grpc; charset=utf-8"];
  for (const type of [...types, "Application/gRPC"]) {
    const stream = await echo("Upper", ["a"], { headers: { "content-type": type } });
    assert.equal(stream.status[0], Status.OK, type);
  }
});

Deno.test("the gRPC server answers what is no gRPC call as an HTTP server", async () => {
  const cases: [Record<string, string | undefined>, string][] = [
    [{ "content-type": "text/html" }, "415"],
    [{ "content-type": undefined }, "415"],
    [{ "content-type": "application/grpc-web" }, "415"],
    [{ "content-type": "application/grpc+json" }, "415"],
    [{ "content-type": "application/grpcfoo" }, "415"],
    [{ ":method": "GET" }, "405"],
    [{ te: undefined }, "400"],
    [{ te: "gzip" }, "400"],
  ];
  for (const [headers, status] of cases) {
    const { stream, answered } = startCall(ECHO, "/test.Echo/Upper", { headers });
    await answered;
    assert.deepEqual(stream.events, ["headers", "end", "reset 0"]);
    assert.equal(stream.fields[":status"], status);
    assert.equal(stream.fields["grpc-status"], undefined);
  }
});

Deno.test("the gRPC server names the method that it takes when it refuses another", async () => {
  const { stream, answered } = startCall(ECHO, "/", { headers: { ":method": "PUT" } });
  await answered;
  assert.equal(stream.fields.allow, "POST");
});

Deno.test("the gRPC server passes every status of a method on", async () => {
  for (const code of Object.values(Status)) {
    if (code === Status.OK) continue;
    const stream = await callFailing(new GrpcError(code, `It is ${code}: 50 % für "x"`));
    assert.deepEqual(stream.events, ["headers", "trailers"]);
    assert.deepEqual(stream.status, [code, `It is ${code}: 50 % für "x"`]);
  }
});

Deno.test("the gRPC server tells other errors as UNKNOWN on one line and without a stack", async () => {
  const cases: [unknown, string][] = [
    [new Error("Cannot dump VM 101:\n  no space"), "Cannot dump VM 101: no space"],
    [
      new UserError("usage", 'Unknown option "vmdi"', { hint: 'did you mean "vmid"?' }),
      'Unknown option "vmdi"; did you mean "vmid"?',
    ],
    [new TypeError(""), "TypeError"],
    ["just a text", "just a text"],
    [undefined, "undefined"],
  ];
  for (const [error, message] of cases) {
    assert.deepEqual((await callFailing(error)).status, [Status.UNKNOWN, message]);
  }
});

Deno.test("the gRPC server keeps the messages that a method sent before it failed", async () => {
  for (let count = 0; count <= 3; count++) {
    const method = serverStreaming(TEXT, async (_, responses) => {
      for (let sent = 0; sent < count; sent++) await responses.send(`${sent}`);
      throw new GrpcError(Status.ABORTED, `after ${count}`);
    });
    const { stream, answered } = startCall({ "test.Fail": { Late: method } }, "/test.Fail/Late");
    stream.sendOnly("");
    await answered;
    assert.deepEqual(stream.messages, ["0", "1", "2"].slice(0, count));
    assert.deepEqual(stream.status, [Status.ABORTED, `after ${count}`]);
  }
});

Deno.test("the gRPC server reads no further when a method fails among its requests", async () => {
  for (let count = 0; count <= 3; count++) {
    const method = bidiStreaming(TEXT, async (requests) => {
      for (let taken = 0; taken < count; taken++) await requests.next();
      throw new Error(`after ${count}`);
    });
    const { stream, answered } = startCall({ "test.Fail": { Amid: method } }, "/test.Fail/Amid");
    stream.send(...["a", "b", "c", "d"].map((text) => envelope(text)));
    await answered;
    assert.equal(stream.reads, count);
    assert.deepEqual(stream.status, [Status.UNKNOWN, `after ${count}`]);
    assert.equal(stream.events.at(-1), "reset 0", "the client must learn that nobody reads the rest");
  }
});

Deno.test("the gRPC server tells an error of a response's codec", async () => {
  const encode = () => {
    throw new RangeError("invalid int 32");
  };
  const method = unary({ ...TEXT, response: { encode } }, () => "");
  const { stream, answered } = startCall({ "test.Fail": { Encode: method } }, "/test.Fail/Encode");
  stream.sendOnly("");
  await answered;
  assert.deepEqual(stream.status, [Status.UNKNOWN, "invalid int 32"]);
});

Deno.test("the gRPC server answers a request that cannot be read with INTERNAL", async () => {
  for (const method of ["Upper", "Split", "Join", "Each"]) {
    const { status } = await echo(method, ["unreadable"]);
    assert.deepEqual(status, [Status.INTERNAL, "Cannot read a request message: no such message"]);
  }
});

Deno.test("the gRPC server refuses no and two requests where one is due", async () => {
  for (const method of ["Upper", "Split"]) {
    for (const messages of [[], ["a", "b"]]) {
      const { status } = await echo(method, messages);
      assert.deepEqual(status, [Status.UNIMPLEMENTED, "Cannot take the request: not exactly one message"]);
    }
  }
});

Deno.test("the gRPC server reads a request that comes byte by byte", async () => {
  const { stream, answered } = startCall(ECHO, "/test.Echo/Each");
  const body = [...envelope("first"), ...envelope(""), ...envelope("third")];
  stream.send(...body.map((byte) => new Uint8Array([byte]))).halfClose();
  await answered;
  assert.deepEqual(stream.messages, ["first!", "!", "third!"]);
});

Deno.test("the gRPC server answers a request cut inside of a message with INTERNAL", async () => {
  for (const method of ["Upper", "Each"]) {
    for (let length = 1; length < envelope("hello").length; length++) {
      const { stream, answered } = startCall(ECHO, `/test.Echo/${method}`);
      stream.send(envelope("hello").subarray(0, length)).halfClose();
      await answered;
      assert.equal(stream.status[0], Status.INTERNAL);
      assert.match(stream.status[1], /ended in the middle/);
    }
  }
});

Deno.test("the gRPC server refuses a message over its limit", async () => {
  assert.equal((await echo("Upper", ["12345"], { maxMessageBytes: 5 })).status[0], Status.OK);
  const { status } = await echo("Upper", ["123456"], { maxMessageBytes: 5 });
  assert.deepEqual(status, [
    Status.RESOURCE_EXHAUSTED,
    "Cannot read a message of 6 bytes: at most 5 are taken",
  ]);
});

Deno.test("the gRPC server refuses compression", async () => {
  const announced = await echo("Upper", ["a"], { headers: { "grpc-encoding": "gzip" } });
  assert.equal(announced.status[0], Status.UNIMPLEMENTED);
  assert.equal(announced.fields["grpc-accept-encoding"], "identity");
  const identity = await echo("Upper", ["a"], { headers: { "grpc-encoding": "identity" } });
  assert.equal(identity.status[0], Status.OK);
  const { stream, answered } = startCall(ECHO, "/test.Echo/Upper");
  stream.send(envelope("a", 1)).halfClose();
  await answered;
  assert.equal(stream.status[0], Status.UNIMPLEMENTED);
});

Deno.test("the gRPC server refuses a timeout that is none", async () => {
  const { status } = await echo("Upper", ["a"], { headers: { "grpc-timeout": "soon" } });
  assert.equal(status[0], Status.INTERNAL);
  assert.match(status[1], /"soon"/);
});
