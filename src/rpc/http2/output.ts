import { SendWindow } from "./flow.ts";
import { MAX_FRAME_PAYLOAD } from "./frames.ts";
import { MAX_CONTROL_BACKLOG } from "./limits.ts";
import type { SendQueue } from "./send_queue.ts";
import { Staging } from "./staging.ts";
import type { Wire } from "./wire.ts";

/**
 * Everything that a connection sends, by one loop with one write at a time: control frames first, then the streams
 * in turn, a frame each, or a write each where their bytes are sent from where they are.
 */
export class Output {
  /** What the peer takes on all streams together. */
  readonly window = new SendWindow();
  readonly #wire: Wire;
  readonly #staging = new Staging();
  readonly #control: Uint8Array[] = [];
  #controlBytes = 0;
  /** The queues that have something to send, the next in turn first. */
  readonly #queues = new Set<SendQueue>();
  /** A queue whose turn had come when staged bytes had to go first. */
  #promised: SendQueue | undefined;
  /** The queues that have bytes in the write under way. */
  readonly #writing = new Set<SendQueue>();
  #wakeUp: PromiseWithResolvers<void> | undefined;
  #closing = false;
  readonly #onSent: (frames: number) => void;

  /** `onSent` is told how many frames streams have sent. */
  constructor(wire: Wire, onSent: (frames: number) => void) {
    this.#wire = wire;
    this.#onSent = onSent;
  }

  /** The peer makes us answer without reading the answers. */
  get isFlooded(): boolean {
    return this.#controlBytes > MAX_CONTROL_BACKLOG;
  }

  /** Sends a frame ahead of what the streams send. */
  control(frame: Uint8Array): void {
    this.#control.push(frame);
    this.#controlBytes += frame.length;
    this.wake();
  }

  /** There is something in `queue`. */
  ready(queue: SendQueue): void {
    this.#queues.add(queue);
    this.wake();
  }

  /** A window has grown, or there is something new. */
  wake(): void {
    this.#wakeUp?.resolve();
  }

  /** Writes until `close()`; rejects when the wire is gone. */
  async run(): Promise<void> {
    for (;;) {
      const bytes = this.#next();
      if (bytes) {
        await this.#wire.write(bytes);
        this.#land();
      } else if (this.#closing) {
        return;
      } else {
        this.#wakeUp = Promise.withResolvers();
        await this.#wakeUp.promise;
      }
    }
  }

  /** Ends `run()` once nothing more can be sent. */
  close(): void {
    this.#closing = true;
    this.wake();
  }

  /** Gives back what a write that may never end has of the streams; for when the wire is of no more use. */
  abandon(): void {
    this.#land();
  }

  #land(): void {
    for (const queue of this.#writing) queue.landed();
    this.#writing.clear();
  }

  #next(): Uint8Array | undefined {
    const promised = this.#promised;
    this.#promised = undefined;
    const frames = promised && this.#takeFramed(promised);
    if (frames) return frames;
    this.#stageControl();
    const waiting = this.#stageStreams();
    if (this.#staging.isEmpty) return waiting && this.#takeFramed(waiting);
    this.#promised = waiting;
    return this.#staging.drain();
  }

  /** Stages a frame of each stream in turn, until no more fits; answers the first that wants a write of its own. */
  #stageStreams(): SendQueue | undefined {
    let waiting: SendQueue | undefined;
    for (let moved = true; moved;) {
      moved = false;
      for (const queue of [...this.#queues]) {
        if (queue.canTakeFramed(this.window)) {
          waiting ??= queue;
        } else if (queue.stage(this.#staging, this.window)) {
          this.#hadTurn(queue, 1);
          moved = true;
        } else if (queue.isEmpty) {
          this.#queues.delete(queue);
        }
      }
    }
    return waiting;
  }

  #stageControl(): void {
    let staged = 0;
    for (const frame of this.#control) {
      if (!this.#staging.frames(frame)) break;
      this.#controlBytes -= frame.length;
      staged++;
    }
    this.#control.splice(0, staged);
  }

  #takeFramed(queue: SendQueue): Uint8Array | undefined {
    const frames = queue.takeFramed(this.window);
    if (frames) this.#hadTurn(queue, Math.ceil(frames.length / MAX_FRAME_PAYLOAD));
    return frames;
  }

  /** Puts the queue behind the others, or away when it is empty. */
  #hadTurn(queue: SendQueue, frames: number): void {
    this.#writing.add(queue);
    this.#queues.delete(queue);
    if (!queue.isEmpty) this.#queues.add(queue);
    this.#onSent(frames);
  }
}
