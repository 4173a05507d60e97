/** The gRPC server over our HTTP/2 connection, called by an independent client. */
// deno-lint-ignore-file no-import-prefix -- the client belongs to this test, not to the program's dependencies
import {
  Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  credentials,
  type ServiceError,
} from "npm:@grpc/grpc-js@1.14.7";
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { once } from "node:events";
import { CHUNK_PREFIX_BYTES } from "../../../../src/rpc/grpc/chunk_message.ts";
import { bidiStreaming, serverStreaming, unary } from "../../../../src/rpc/grpc/methods.ts";
import { createGrpcHandler, type GrpcOptions, type Services } from "../../../../src/rpc/grpc/server.ts";
import { GrpcError, Status } from "../../../../src/rpc/grpc/status.ts";
import { ServerConnection } from "../../../../src/rpc/http2/connection.ts";
import { FramedBuffer } from "../../../../src/rpc/http2/framed_buffer.ts";
import type { Wire } from "../../../../src/rpc/http2/wire.ts";
import { ECHO, TEXT } from "./echo_service.ts";

const CHUNK_BYTES = 1024 * 1024;

/** What the methods below have seen. */
const seen = { cancelled: 0, sent: 0, taken: 0 };

const SERVICES: Services = {
  ...ECHO,
  "test.More": {
    Fail: unary(TEXT, (text) => {
      throw new GrpcError(Status.FAILED_PRECONDITION, text);
    }),
    /** Sends as many chunks as asked for, in bytes field 1, each filled with its number. */
    Read: serverStreaming(TEXT, async (text, responses, { signal }) => {
      signal.addEventListener("abort", () => seen.cancelled++);
      const buffer = new FramedBuffer(CHUNK_BYTES, { prefix: CHUNK_PREFIX_BYTES });
      for (seen.sent = 0; seen.sent < Number(text); seen.sent++) {
        for (let region = buffer.next(); region.length > 0; region = buffer.next()) {
          buffer.filled(region.fill(seen.sent).length);
        }
        await responses.sendChunk(1, buffer);
        buffer.clear();
      }
    }),
    /** Answers the sum of the requests' lengths, and waits for the deadline or a cancel when asked to. */
    Count: bidiStreaming(TEXT, async (requests, responses, { signal }) => {
      signal.addEventListener("abort", () => seen.cancelled++);
      seen.taken = 0;
      for await (const text of requests) {
        seen.taken += text.length;
        if (text === "wait") await new Promise((resolve) => signal.addEventListener("abort", resolve));
      }
      await responses.send(`${seen.taken}`);
    }),
  },
};

const serialize = (text: string) => Buffer.from(text);
const deserialize = (bytes: Buffer) => bytes.toString();

/** Runs `use` with a client of a server of its own. */
async function withClient(use: (client: Client) => Promise<void>, options: GrpcOptions = {}): Promise<void> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const client = new Client(`127.0.0.1:${listener.addr.port}`, credentials.createInsecure());
  client.waitForReady(Infinity, () => {}); // connects
  using tcp = await listener.accept();
  const serving = new ServerConnection(wireOf(tcp), createGrpcHandler(SERVICES, options)).run();
  await use(client); // a failure closes the connection, and with it all calls
  client.close();
  await serving;
}

function wireOf(tcp: Deno.Conn): Wire {
  return {
    async read(view) {
      const length = await tcp.read(view);
      return length === null ? null : view.subarray(0, length);
    },
    async write(bytes) {
      for (let rest = bytes; rest.length > 0;) rest = rest.subarray(await tcp.write(rest));
    },
  };
}

/** The answer of a unary call, or its error. */
async function call(client: Client, path: string, text: string): Promise<string | ServiceError> {
  return await new Promise((resolve) =>
    client.makeUnaryRequest(
      path,
      serialize,
      deserialize,
      text,
      (error, value) => resolve(error ?? value ?? ""),
    )
  );
}

function read(client: Client, chunks: number): ClientReadableStream<Buffer> {
  return client.makeServerStreamRequest("/test.More/Read", serialize, (bytes) => bytes, String(chunks));
}

function count(client: Client, timeout?: number): ClientDuplexStream<string, string> {
  const options = timeout === undefined ? {} : { deadline: Date.now() + timeout };
  return client.makeBidiStreamRequest("/test.More/Count", serialize, deserialize, options);
}

/** Settles with the error that ends a call. */
const failureOf = async (stream: ClientReadableStream<unknown>): Promise<ServiceError> =>
  (await once(stream.resume(), "error"))[0];

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}

Deno.test("a gRPC client gets answers and statuses", () =>
  withClient(async (client) => {
    assert.equal(await call(client, "/test.Echo/Upper", "hello"), "HELLO");
    const message = 'Cannot dump VM 101: 95 % full\n  für "x" 😀';
    const failure = await call(client, "/test.More/Fail", message);
    assert.ok(failure instanceof Error);
    assert.deepEqual([failure.code, failure.details], [Status.FAILED_PRECONDITION, message]);
    const unknown = await call(client, "/test.Echo/Nothing", "");
    assert.ok(unknown instanceof Error);
    assert.deepEqual([unknown.code, unknown.details], [
      Status.UNIMPLEMENTED,
      'Unknown method "/test.Echo/Nothing"',
    ]);
  }));

Deno.test("a gRPC client learns that its message is over the limit", () =>
  withClient(async (client) => {
    // Less than a window: Deno's HTTP/2 client does not tell of a stream that ends while it still writes.
    const failure = await call(client, "/test.Echo/Upper", "x".repeat(200_000));
    assert.ok(failure instanceof Error);
    assert.equal(failure.code, Status.RESOURCE_EXHAUSTED);
    assert.equal(await call(client, "/test.Echo/Upper", "still there"), "STILL THERE");
  }, { maxMessageBytes: 100_000 }));

Deno.test("a gRPC client reads a stream of chunks whole, beside other calls", () =>
  withClient(async (client) => {
    let chunks = 0;
    const reading = (async () => {
      for await (const message of read(client, 20)) {
        // Tag, length in four bytes, data.
        assert.equal(message[0], 0x0a);
        assert.ok(message.subarray(5).every((byte: number) => byte === chunks), `chunk ${chunks} is damaged`);
        chunks++;
      }
    })();
    for (let round = 0; round < 5; round++) {
      assert.equal(await call(client, "/test.Echo/Upper", `call ${round}`), `CALL ${round}`);
    }
    await reading;
    assert.equal(chunks, 20);
  }));

Deno.test("a gRPC client that does not read holds the method back", () =>
  withClient(async (client) => {
    const stream = read(client, 100);
    await once(stream, "readable");
    await new Promise((resolve) => setTimeout(resolve, 200));
    assert.ok(seen.sent < 50, `${seen.sent} of 100 chunks were sent to nobody`);
    stream.cancel();
    assert.equal((await failureOf(stream)).code, Status.CANCELLED);
  }));

Deno.test("a gRPC client's cancel reaches a method that sends, and other calls go on", () =>
  withClient(async (client) => {
    seen.cancelled = 0;
    const stream = read(client, 100);
    await once(stream, "data");
    stream.cancel();
    assert.equal((await failureOf(stream)).code, Status.CANCELLED);
    await until(() => seen.cancelled === 1);
    assert.equal(await call(client, "/test.Echo/Upper", "a"), "A");
  }));

Deno.test("a gRPC client sends large messages and gets the answer after its end", () =>
  withClient(async (client) => {
    const stream = count(client);
    const answer = once(stream, "data");
    for (let round = 0; round < 8; round++) {
      if (!stream.write("y".repeat(3_000_000))) await once(stream, "drain");
    }
    stream.end();
    assert.deepEqual(await answer, ["24000000"]);
  }));

Deno.test("a gRPC client's cancel reaches a method that reads", () =>
  withClient(async (client) => {
    seen.cancelled = 0;
    const stream = count(client);
    stream.write("abc");
    await until(() => seen.taken === 3);
    stream.cancel();
    assert.equal((await failureOf(stream)).code, Status.CANCELLED);
    await until(() => seen.cancelled === 1);
  }));

Deno.test("a gRPC client's deadline ends the method on both sides", () =>
  withClient(async (client) => {
    seen.cancelled = 0;
    const stream = count(client, 100);
    stream.write("wait");
    assert.equal((await failureOf(stream)).code, Status.DEADLINE_EXCEEDED);
    await until(() => seen.cancelled === 1);
  }));
