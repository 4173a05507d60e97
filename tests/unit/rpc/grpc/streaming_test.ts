import assert from "node:assert/strict";
import {
  bidiStreaming,
  type CallContext,
  clientStreaming,
  type Method,
  type Requests,
  type Responses,
  serverStreaming,
  unary,
} from "../../../../src/rpc/grpc/methods.ts";
import { createGrpcHandler } from "../../../../src/rpc/grpc/server.ts";
import { Status } from "../../../../src/rpc/grpc/status.ts";
import { ECHO, settle, startCall, TEXT } from "./echo_service.ts";
import { callHeaders, envelope, MemoryStream } from "./memory_stream.ts";

/** Starts a call of `method` alone. */
const start = (method: Method, headers: Record<string, string> = {}) =>
  startCall({ "test.One": { Call: method } }, "/test.One/Call", { headers });

const bidi = (
  handle: (requests: Requests<string>, responses: Responses<string>, context: CallContext) => Promise<void>,
) => bidiStreaming(TEXT, handle);

/** Settles when `signal` is aborted. */
const abortOf = (signal: AbortSignal) =>
  new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));

Deno.test("a bidirectional call answers while the client goes on sending", async () => {
  const { stream, answered } = startCall(ECHO, "/test.Echo/Each");
  for (const text of ["one", "two", "three"]) {
    stream.send(envelope(text));
    await settle();
    assert.equal(stream.messages.at(-1), `${text}!`);
  }
  assert.ok(!stream.events.includes("trailers"), "the call must last until the client has ended its part");
  stream.halfClose();
  await answered;
  assert.deepEqual(stream.status, [Status.OK, ""]);
});

Deno.test("a method may answer before it reads, and after the client ended its part", async () => {
  const { stream, answered } = start(bidi(async (requests, responses) => {
    await responses.send("ready");
    await Array.fromAsync(requests);
    await responses.send("done");
  }));
  await settle();
  assert.deepEqual(stream.messages, ["ready"]);
  stream.sendOnly("a", "b");
  await answered;
  assert.deepEqual(stream.messages, ["ready", "done"]);
});

Deno.test("a method that returns early refuses the rest of the request", async () => {
  const { stream, answered } = start(bidi((_, responses) => responses.send("enough")));
  stream.send(envelope("a"));
  await answered;
  assert.deepEqual(stream.events, ["headers", "data", "trailers", "reset 0"]);
  assert.deepEqual(stream.status, [Status.OK, ""]);
});

Deno.test("requests are read one piece at a time, when they are asked for", async () => {
  const gates = [1, 2, 3].map(() => Promise.withResolvers<void>());
  const { stream, answered } = start(bidi(async (requests) => {
    for (const gate of gates) {
      await gate.promise;
      await requests.next();
    }
  }));
  stream.send(...["a", "b", "c", "d"].map((text) => envelope(text)));
  for (const [index, gate] of gates.entries()) {
    await settle();
    assert.equal(stream.reads, index);
    gate.resolve();
  }
  await answered;
  assert.equal(stream.reads, 3);
});

Deno.test("requests go on where a loop was left, and stay at their end", async () => {
  const seen: string[] = [];
  const { stream, answered } = start(bidi(async (requests) => {
    for await (const record of requests) {
      for await (const chunk of requests) {
        seen.push(`${record}:${chunk}`);
        if (chunk === "") break;
      }
    }
    assert.deepEqual(await requests.next(), { done: true, value: undefined });
  }));
  stream.sendOnly("r1", "a", "b", "", "r2", "", "r3", "c");
  await answered;
  assert.deepEqual(stream.status, [Status.OK, ""]);
  assert.deepEqual(seen, ["r1:a", "r1:b", "r1:", "r2:", "r3:c"]);
});

Deno.test("requests that failed once fail always", async () => {
  const errors: unknown[] = [];
  const { stream, answered } = start(bidi(async (requests) => {
    for (let tries = 0; tries < 3; tries++) await requests.next().catch((error) => errors.push(error.code));
  }));
  stream.send(envelope("bad", 9), envelope("good")).halfClose();
  await answered;
  assert.deepEqual(errors, [Status.INTERNAL, Status.INTERNAL, Status.INTERNAL]);
});

Deno.test("a unary request's bytes stay valid while its end is waited for", async () => {
  const bytes = { request: { decode: (message: Uint8Array) => message }, response: TEXT.response };
  const { stream, answered } = start(unary(bytes, (message) => new TextDecoder().decode(message)));
  stream.send(envelope("kept"));
  await settle();
  stream.halfClose();
  await answered;
  assert.deepEqual(stream.messages, ["kept"]);
});

Deno.test("a response is taken only as fast as the client reads", async () => {
  let sent = 0;
  const { stream, answered } = start(serverStreaming(TEXT, async (_, responses) => {
    for (; sent < 5; sent++) await responses.send("12345");
  }));
  stream.window = 0;
  stream.sendOnly("");
  await settle();
  assert.equal(sent, 0);
  for (let expected = 1; expected <= 5; expected++) {
    stream.open(10);
    await settle();
    assert.equal(sent, expected);
  }
  await answered;
  assert.equal(stream.messages.length, 5);
});

Deno.test("responses that nobody awaited keep their order and come before the status", async () => {
  const { stream, answered } = start(bidi((_, responses) => {
    for (const text of ["a", "b", "c"]) responses.send(text);
    return Promise.resolve();
  }));
  stream.halfClose();
  await answered;
  assert.deepEqual(stream.messages, ["a", "b", "c"]);
  assert.deepEqual(stream.events, ["headers", "data", "data", "data", "trailers"]);
});

Deno.test("responses that nobody awaited harm only their own call when that is cancelled", async () => {
  // A rejection that nobody handles would fail this test, as it would end a server.
  const { stream, answered } = start(bidi(async (_requests, responses, { signal }) => {
    for (const text of ["a", "b"]) responses.send(text);
    await abortOf(signal);
    responses.send("c");
  }));
  stream.window = 0;
  await settle();
  stream.cancel();
  await answered;
  await settle();
  assert.deepEqual(stream.messages, []);
});

Deno.test("a response after the end of its call is refused", async () => {
  const kept: Responses<string>[] = [];
  const { stream, answered } = start(bidi((_, responses) => Promise.resolve(void kept.push(responses))));
  stream.halfClose();
  await answered;
  await assert.rejects(async () => await kept[0]?.send("late"), /the call has ended/);
  assert.deepEqual(stream.events, ["headers", "trailers"]);
});

Deno.test("a cancel reaches a method that waits for requests", async () => {
  const errors: unknown[] = [];
  const { stream, answered } = start(clientStreaming(TEXT, async (requests) => {
    try {
      return (await Array.fromAsync(requests)).join();
    } catch (error) {
      errors.push((error as { code?: number }).code);
      throw error;
    }
  }));
  stream.send(envelope("a"));
  await settle();
  stream.cancel();
  await answered;
  assert.deepEqual(errors, [Status.CANCELLED]);
  assert.deepEqual(stream.events, []);
});

Deno.test("a cancel reaches a method that waits for the client to take a response", async () => {
  const errors: unknown[] = [];
  const { stream, answered } = start(serverStreaming(TEXT, async (_, responses) => {
    await responses.send("12345");
    await responses.send("12345").catch((error) => errors.push(error.code));
  }));
  stream.window = 13;
  stream.sendOnly("");
  await settle();
  stream.cancel();
  await answered;
  assert.deepEqual(errors, [Status.CANCELLED]);
  assert.equal(stream.body.length, 13);
});

Deno.test("a cancel reaches a method that does neither, and its clean-up is waited for", async () => {
  let isClean = false;
  const { stream, answered } = start(serverStreaming(TEXT, async (_text, _responses, { signal }) => {
    await abortOf(signal);
    await settle();
    isClean = true;
  }));
  stream.sendOnly("");
  await settle();
  stream.cancel();
  await answered;
  assert.ok(isClean);
  assert.deepEqual(stream.events, []);
});

Deno.test("a call that was cancelled before it began ends silently", async () => {
  const stream = new MemoryStream(callHeaders("/test.Echo/Each"));
  stream.cancel();
  await createGrpcHandler(ECHO)(stream);
  assert.deepEqual(stream.events, []);
});

Deno.test("a deadline ends a call that waits for requests", async () => {
  const { stream, answered } = start(bidi(async (requests) => void await requests.next()), {
    "grpc-timeout": "20m",
  });
  await answered;
  assert.deepEqual(stream.status, [Status.DEADLINE_EXCEEDED, "The call took longer than 20 ms"]);
});

Deno.test("a deadline is told at once, also when the method takes its time to end", async () => {
  const gate = Promise.withResolvers<void>();
  const { stream, answered } = start(unary(TEXT, () => gate.promise.then(() => "late")), {
    "grpc-timeout": "20m",
  });
  stream.sendOnly("");
  while (stream.events.length === 0) await settle();
  assert.equal(stream.status[0], Status.DEADLINE_EXCEEDED);
  gate.resolve();
  await answered;
  assert.deepEqual(stream.events, ["headers", "trailers"]);
});

Deno.test("a deadline amid a message that the client does not take resets the stream", async () => {
  const { stream, answered } = start(serverStreaming(TEXT, (_, responses) => responses.send("12345")), {
    "grpc-timeout": "20m",
  });
  stream.window = 3;
  stream.sendOnly("");
  await answered;
  assert.deepEqual(stream.events, ["headers", "data", "reset 8"]);
  stream.cancel(); // frees the write that still waits in the twin
});

Deno.test("a call that ends within its deadline is not touched by it", async () => {
  const { stream, answered } = startCall(ECHO, "/test.Echo/Upper", { headers: { "grpc-timeout": "1H" } });
  stream.sendOnly("a");
  await answered;
  assert.deepEqual(stream.status, [Status.OK, ""]);
});

Deno.test("two calls at once do not touch each other", async () => {
  const handler = createGrpcHandler(ECHO);
  const [first, second] = [0, 1].map(() => new MemoryStream(callHeaders("/test.Echo/Each")));
  assert.ok(first && second);
  const answers = [handler(first), handler(second)];
  first.send(envelope("a").subarray(0, 3));
  second.send(envelope("x"));
  await settle();
  first.send(envelope("a").subarray(3));
  second.send(envelope("y").subarray(0, 5));
  await settle();
  second.cancel();
  first.send(envelope("b")).halfClose();
  await Promise.all(answers);
  assert.deepEqual(first.messages, ["a!", "b!"]);
  assert.deepEqual(second.messages, ["x!"]);
  assert.deepEqual(first.status, [Status.OK, ""]);
});
