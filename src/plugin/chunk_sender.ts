import type { ByteSource } from "../core/bytes.ts";
import { CHUNK_PREFIX_BYTES } from "../rpc/grpc/chunk_message.ts";
import type { Responses } from "../rpc/grpc/methods.ts";
import { FramedBuffer } from "../rpc/http2/framed_buffer.ts";

/** Bytes of one chunk; a message must stay below gRPC's default limit of 4 MiB. */
const CHUNK_BYTES = 2 * 1024 * 1024;
/** Milliseconds that bytes of a slow source may wait for a chunk to fill. */
const FLUSH_AFTER = 20;

/** Field of the bytes in an answer to Open. */
const CHUNK_FIELD = 1;

/**
 * Sends all of a source as chunks. Bytes are read straight into one of two buffers, where the frames' headers have
 * their places already, while the other is on its way.
 *
 * @returns bytes sent
 */
export async function sendChunks<T>(source: ByteSource, responses: Responses<T>): Promise<number> {
  let [filling, idle] = [newBuffer(), newBuffer()];
  let sending: Promise<void> = Promise.resolve();
  let sent = 0;
  for (let ended = false; !ended;) {
    ended = await fill(filling, source);
    await sending;
    if (filling.length === 0) break; // an empty chunk would break the client
    sent += filling.length;
    sending = responses.sendChunk(CHUNK_FIELD, filling);
    sending.catch(() => {}); // awaited before the buffer is used again
    [filling, idle] = [idle, filling];
    if (!ended) filling.clear();
  }
  await sending;
  return sent;
}

function newBuffer(): FramedBuffer {
  return new FramedBuffer(CHUNK_BYTES, { prefix: CHUNK_PREFIX_BYTES });
}

/** Fills the buffer, or as much of it as comes in time; answers whether the source has ended. */
async function fill(buffer: FramedBuffer, source: ByteSource): Promise<boolean> {
  const begin = performance.now();
  while (!buffer.isFull) {
    const chunk = await source.read(buffer.next());
    buffer.filled(chunk.byteLength, chunk.buffer);
    if (chunk.byteLength === 0) return true;
    if (performance.now() - begin > FLUSH_AFTER) break;
  }
  return false;
}
