/** Where a thread writes archive bytes: synchronously, in pieces, with the faults of the guest built in. */
import type { Faults } from "./state.ts";

/** Ends a stream on purpose without an error. */
export class SilentCut extends Error {
  override readonly name = "SilentCut";
}

/** The writer was told to stop. */
export class Stopped extends Error {
  override readonly name = "Stopped";
}

export interface SinkOptions {
  /** `-` is stdout. Files are created. */
  target: string;
  faults: Faults;
  /** KiB per second; 0 is unlimited. */
  bwlimit: number;
  /** Element 0 becomes 1 when the writer shall stop. */
  stop: Int32Array;
}

/** Archive bytes on their way out. */
export class ByteSink {
  written = 0;
  readonly #out: { writeSync(bytes: Uint8Array): number; close(): void };
  readonly #rate: number;
  readonly #started = performance.now();
  readonly #plain: boolean;

  constructor(readonly options: SinkOptions) {
    this.#out = options.target === "-" ? Deno.stdout : Deno.openSync(options.target, {
      create: true,
      write: true,
      truncate: !options.target.endsWith(".fifo"),
    });
    const limits = [options.faults.bytesPerSecond ?? 0, options.bwlimit * 1024].filter((rate) => rate > 0);
    this.#rate = limits.length > 0 ? Math.min(...limits) : 0;
    this.#plain = this.#rate === 0 && this.#limits().length === 0 && options.faults.flipByteAt === undefined;
  }

  #limits(): number[] {
    const { failAfterBytes, hangAfterBytes, cutAtBytes, noSpaceAfterBytes } = this.options.faults;
    return [failAfterBytes, hangAfterBytes, cutAtBytes, noSpaceAfterBytes].filter((at) => at !== undefined);
  }

  /** Takes all of `bytes` or throws. */
  readonly write = (bytes: Uint8Array): void => {
    if (Atomics.load(this.options.stop, 0) === 1) throw new Stopped();
    if (this.#plain) return this.#writeAll(bytes);
    let rest = bytes;
    while (rest.length > 0) {
      this.#fault();
      let length = rest.length;
      for (const at of this.#limits()) if (at > this.written) length = Math.min(length, at - this.written);
      if (this.#rate > 0) length = Math.min(length, Math.max(512, Math.floor(this.#rate / 50)));
      this.#writeAll(this.#flipped(rest.subarray(0, length)));
      this.#throttle();
      rest = rest.subarray(length);
    }
  };

  /** Reaches faults that lie exactly at the end of the bytes. */
  end(): void {
    this.#fault();
    if (this.options.target !== "-") this.#out.close();
  }

  #writeAll(bytes: Uint8Array): void {
    let rest = bytes;
    while (rest.length > 0) {
      const count = this.#out.writeSync(rest);
      this.written += count;
      rest = count === rest.length ? new Uint8Array(0) : rest.subarray(count);
    }
  }

  #flipped(bytes: Uint8Array): Uint8Array {
    const at = this.options.faults.flipByteAt;
    if (at === undefined || at < this.written || at >= this.written + bytes.length) return bytes;
    const copy = bytes.slice();
    copy[at - this.written] = ~copy[at - this.written]! & 0xff;
    return copy;
  }

  #fault(): void {
    const { failAfterBytes, hangAfterBytes, cutAtBytes, noSpaceAfterBytes } = this.options.faults;
    const reached = (at: number | undefined) => at !== undefined && this.written >= at;
    if (reached(cutAtBytes)) throw new SilentCut();
    if (reached(noSpaceAfterBytes)) throw new Error("No space left on device");
    if (reached(failAfterBytes)) throw new Error("Input/output error");
    if (reached(hangAfterBytes)) {
      while (Atomics.wait(this.options.stop, 0, 0) !== "not-equal") if (this.options.stop[0] === 1) break;
      throw new Stopped();
    }
  }

  #throttle(): void {
    if (this.#rate === 0) return;
    const due = this.written / this.#rate * 1000 - (performance.now() - this.#started);
    if (due > 1) Atomics.wait(this.options.stop, 0, 0, due);
  }
}
