import { GrpcError, Status } from "./status.ts";

/** Bytes before each message: one flag, four of length (big endian). */
export const ENVELOPE_PREFIX_BYTES = 5;

/** Most bytes of a message unless told otherwise: what the other gRPC implementations take. */
export const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;

/** Writes the prefix of an uncompressed message of `length` bytes to the start of `target`. */
export function writeEnvelopePrefix(target: Uint8Array, length: number): void {
  const view = new DataView(target.buffer, target.byteOffset, ENVELOPE_PREFIX_BYTES);
  view.setUint8(0, 0);
  view.setUint32(1, length);
}

/** `message` with its prefix, copied. */
export function encodeEnvelope(message: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(ENVELOPE_PREFIX_BYTES + message.length);
  writeEnvelopePrefix(bytes, message.length);
  bytes.set(message, ENVELOPE_PREFIX_BYTES);
  return bytes;
}

/** Finds the messages in a body that comes in pieces of any size. */
export class EnvelopeDecoder {
  readonly #prefix = new Uint8Array(ENVELOPE_PREFIX_BYTES);
  #prefixBytes = 0;
  /** Length of the message that is being collected; undefined while its prefix is. */
  #length: number | undefined;
  /** Collects messages that come in several pieces, one after the other: never larger than the largest of them. */
  #collected = new Uint8Array();
  #collectedBytes = 0;

  /** `maxBytes`: of one message. */
  constructor(readonly maxBytes: number = MAX_MESSAGE_BYTES) {}

  /**
   * Gives the messages that end in `chunk`. Each is valid until the next is asked for, the last until the next
   * chunk: nothing is copied that arrives in one piece. All must be asked for before the next chunk comes.
   * Throws a {@linkcode GrpcError}: RESOURCE_EXHAUSTED for a message over the limit, before any space is made for
   * it; UNIMPLEMENTED for a compressed one; INTERNAL for an unknown flag.
   */
  *decode(chunk: Uint8Array): Generator<Uint8Array, void> {
    let rest = chunk;
    for (;;) {
      if (this.#length === undefined) {
        rest = this.#takePrefix(rest);
        if (this.#length === undefined) return;
      }
      const length: number = this.#length;
      if (this.#collectedBytes === 0 && rest.length >= length) {
        this.#length = undefined;
        yield rest.subarray(0, length);
        rest = rest.subarray(length);
        continue;
      }
      rest = this.#collect(rest, length);
      if (this.#collectedBytes < length) return;
      this.#length = undefined;
      this.#collectedBytes = 0;
      yield this.#collected.subarray(0, length);
    }
  }

  /** To be called at the end of the body: throws INTERNAL if that cuts a message. */
  end(): void {
    if (this.#prefixBytes === 0 && this.#length === undefined) return;
    throw new GrpcError(Status.INTERNAL, "Cannot read a message: the stream ended in the middle of it");
  }

  /** Takes what is missing of the prefix, and once it is whole sets the length; answers the rest. */
  #takePrefix(bytes: Uint8Array): Uint8Array {
    const taken = bytes.subarray(0, ENVELOPE_PREFIX_BYTES - this.#prefixBytes);
    this.#prefix.set(taken, this.#prefixBytes);
    this.#prefixBytes += taken.length;
    if (this.#prefixBytes === ENVELOPE_PREFIX_BYTES) {
      this.#prefixBytes = 0;
      this.#length = this.#readPrefix();
    }
    return bytes.subarray(taken.length);
  }

  #readPrefix(): number {
    const view = new DataView(this.#prefix.buffer);
    const [flag, length] = [view.getUint8(0), view.getUint32(1)];
    if (flag === 1) {
      throw new GrpcError(Status.UNIMPLEMENTED, "Cannot read a compressed message: no compression is known");
    }
    if (flag !== 0) throw new GrpcError(Status.INTERNAL, `Cannot read a message: unknown flag ${flag}`);
    if (length <= this.maxBytes) return length;
    throw new GrpcError(
      Status.RESOURCE_EXHAUSTED,
      `Cannot read a message of ${length} bytes: at most ${this.maxBytes} are taken`,
    );
  }

  #collect(bytes: Uint8Array, length: number): Uint8Array {
    if (this.#collected.length < length) this.#collected = new Uint8Array(length);
    const taken = bytes.subarray(0, length - this.#collectedBytes);
    this.#collected.set(taken, this.#collectedBytes);
    this.#collectedBytes += taken.length;
    return bytes.subarray(taken.length);
  }
}
