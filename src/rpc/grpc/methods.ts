import { messageOf } from "../../core/errors.ts";
import type { FramedBuffer } from "../http2/framed_buffer.ts";
import type { ServerCall } from "./call.ts";
import { writeChunkPrefix } from "./chunk_message.ts";
import { GrpcError, Status } from "./status.ts";

/** How one kind of message is written and read. */
export interface Codec<T> {
  /** May keep views of `bytes`, which are valid as long as the message is. Throws when they are no such message. */
  decode(bytes: Uint8Array): T;
  encode(message: T): Uint8Array;
}

/** The messages of one method. */
export interface Messages<Request, Response> {
  request: Pick<Codec<Request>, "decode">;
  response: Pick<Codec<Response>, "encode">;
}

/** What a handler knows of its call. */
export interface CallContext {
  /** Aborted when the client cancels, the connection ends, or the deadline passes: nobody waits for the answer. */
  readonly signal: AbortSignal;
}

/**
 * The request messages, read one at a time when they are asked for: who does not ask holds the client back. One
 * loop may be left and another go on from there. A message's bytes are valid until the next message is asked for.
 */
export interface Requests<T> extends AsyncIterable<T> {
  next(): Promise<IteratorResult<T, undefined>>;
}

/** Takes the response messages. Await each: it settles when the wire has taken the message. */
export interface Responses<T> {
  send(message: T): Promise<void>;
  /**
   * Sends the content of `chunk` as a message that has it in bytes field number `field` and is empty otherwise,
   * from where it lies. The buffer must have been made with `prefix: CHUNK_PREFIX_BYTES`, and must not be touched
   * before this settles. Throws a RangeError for a buffer without that room, and for fields above 15.
   */
  sendChunk(field: number, chunk: FramedBuffer): Promise<void>;
}

/** A method as the server runs it; made by one of the functions below. */
export type Method = (call: ServerCall) => Promise<void>;

/** One request, one response. */
export function unary<Request, Response>(
  messages: Messages<Request, Response>,
  handle: (request: Request, context: CallContext) => Promise<Response> | Response,
): Method {
  return async (call) => {
    const request = decode(messages.request, await call.readOnly());
    await call.send(messages.response.encode(await handle(request, call)));
  };
}

/** One request, any number of responses. */
export function serverStreaming<Request, Response>(
  messages: Messages<Request, Response>,
  handle: (request: Request, responses: Responses<Response>, context: CallContext) => Promise<void>,
): Method {
  return async (call) => {
    const request = decode(messages.request, await call.readOnly());
    await handle(request, responsesOf(call, messages.response), call);
  };
}

/** Any number of requests, one response. */
export function clientStreaming<Request, Response>(
  messages: Messages<Request, Response>,
  handle: (requests: Requests<Request>, context: CallContext) => Promise<Response>,
): Method {
  return async (call) => {
    await call.send(messages.response.encode(await handle(requestsOf(call, messages.request), call)));
  };
}

/** Any number of requests and responses, in any order. */
export function bidiStreaming<Request, Response>(
  messages: Messages<Request, Response>,
  handle: (
    requests: Requests<Request>,
    responses: Responses<Response>,
    context: CallContext,
  ) => Promise<void>,
): Method {
  return async (call) => {
    await handle(requestsOf(call, messages.request), responsesOf(call, messages.response), call);
  };
}

function decode<T>(codec: Pick<Codec<T>, "decode">, bytes: Uint8Array): T {
  try {
    return codec.decode(bytes);
  } catch (cause) {
    throw new GrpcError(Status.INTERNAL, `Cannot read a request message: ${messageOf(cause)}`, { cause });
  }
}

/** Without `return`, so that a loop that is left does not end the messages. */
function requestsOf<T>(call: ServerCall, codec: Pick<Codec<T>, "decode">): Requests<T> {
  const requests = {
    async next(): Promise<IteratorResult<T, undefined>> {
      const bytes = await call.read();
      if (bytes === null) return { done: true, value: undefined };
      return { done: false, value: decode(codec, bytes) };
    },
    [Symbol.asyncIterator]: () => requests,
  };
  return requests;
}

function responsesOf<T>(call: ServerCall, codec: Pick<Codec<T>, "encode">): Responses<T> {
  return {
    send: (message) => call.send(codec.encode(message)),
    sendChunk(field, chunk) {
      writeChunkPrefix(chunk.prefix, field, chunk.length);
      return call.sendFramed(chunk);
    },
  };
}
