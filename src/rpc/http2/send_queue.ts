import type { SendWindow } from "./flow.ts";
import type { FramedBuffer } from "./framed_buffer.ts";
import { MAX_FRAME_PAYLOAD } from "./frames.ts";
import type { Staging } from "./staging.ts";

/**
 * Most bytes of one write of a framed buffer: large enough to be worth a write of its own, small enough for other
 * streams and control frames to get their turn.
 */
const FRAMED_TURN = 1024 * 1024;

/** Something that a stream sends. */
export type Content =
  | { readonly kind: "fields"; readonly block: Uint8Array; readonly endStream: boolean }
  | { readonly kind: "data"; rest: Uint8Array }
  | { readonly kind: "framed"; readonly buffer: FramedBuffer }
  | { readonly kind: "end" };

interface Message {
  readonly content: Content;
  /** Settles once the wire has all of it. */
  readonly done: PromiseWithResolvers<void>;
}

/** What a stream still has to send, in its order, within its window. */
export class SendQueue {
  readonly #messages: Message[] = [];
  /** Messages whose last bytes are on their way to the wire. */
  #landing: Message[] = [];
  /** The framed message whose memory the wire reads just now. */
  #framed: Message | undefined;
  #failure: Error | undefined;

  /** `onEnd` is told when the frame that ends the stream was taken for the wire. */
  constructor(
    readonly streamId: number,
    readonly window: SendWindow,
    readonly onEnd: () => void,
  ) {}

  get isEmpty(): boolean {
    return this.#messages.length === 0;
  }

  /** Whether the next bytes can be sent now from where they are, in a write of their own. */
  canTakeFramed(connection: SendWindow): boolean {
    return this.#framedBytes(connection) > 0;
  }

  push(content: Content): Promise<void> {
    const message: Message = { content, done: Promise.withResolvers() };
    // Whoever does not await this must not turn the stream's end into an unhandled rejection.
    message.done.promise.catch(() => {});
    if (this.#failure) message.done.reject(this.#failure);
    else this.#messages.push(message);
    return message.done.promise;
  }

  /** Copies the next frame, of one message at most; `false` if windows or room do not allow any. */
  stage(staging: Staging, connection: SendWindow): boolean {
    const message = this.#messages[0];
    if (!message) return false;
    const { content } = message;
    switch (content.kind) {
      case "fields":
        if (!staging.fields(this.streamId, content.block, content.endStream)) return false;
        this.#finishFirst(content.endStream);
        return true;
      case "end":
        if (!staging.data(this.streamId, new Uint8Array(), true)) return false;
        this.#finishFirst(true);
        return true;
      case "data":
        return this.#stageData(content, staging, connection);
      case "framed":
        if (content.buffer.unsent > 0) return false;
        this.#finishFirst(false);
        return true;
    }
  }

  /** The next frames of a framed buffer, in its own memory; nothing if the windows do not allow any. */
  takeFramed(connection: SendWindow): Uint8Array | undefined {
    const bytes = this.#framedBytes(connection);
    const message = this.#messages[0];
    if (bytes === 0 || message?.content.kind !== "framed") return undefined;
    const { buffer } = message.content;
    const frames = buffer.take(this.streamId, bytes);
    this.window.take(bytes);
    connection.take(bytes);
    this.#framed = message;
    if (buffer.unsent === 0) this.#finishFirst(false);
    return frames;
  }

  /** The wire has what was taken last. */
  landed(): void {
    for (const { done } of this.#landing.splice(0)) {
      this.#failure ? done.reject(this.#failure) : done.resolve();
    }
    if (this.#failure) this.#framed?.done.reject(this.#failure);
    this.#framed = undefined;
  }

  /** Sends nothing more. A framed buffer that is on the wire is given back only when it has `landed()`. */
  fail(reason: Error): void {
    if (this.#failure) return;
    this.#failure = reason;
    for (const message of this.#messages.splice(0)) {
      if (message !== this.#framed) message.done.reject(reason);
    }
  }

  #framedBytes(connection: SendWindow): number {
    const content = this.#messages[0]?.content;
    if (content?.kind !== "framed") return 0;
    return Math.min(content.buffer.unsent, FRAMED_TURN, this.#allowed(connection));
  }

  #allowed(connection: SendWindow): number {
    return Math.max(0, Math.min(this.window.available, connection.available));
  }

  #stageData(content: { rest: Uint8Array }, staging: Staging, connection: SendWindow): boolean {
    const size = Math.min(content.rest.length, MAX_FRAME_PAYLOAD, this.#allowed(connection));
    if (size > 0) {
      if (!staging.data(this.streamId, content.rest.subarray(0, size))) return false;
      this.window.take(size);
      connection.take(size);
      content.rest = content.rest.subarray(size);
    }
    if (content.rest.length > 0) return size > 0;
    this.#finishFirst(false);
    return true;
  }

  #finishFirst(endsStream: boolean): void {
    this.#landing.push(this.#messages.shift()!);
    if (endsStream) this.onEnd();
  }
}
