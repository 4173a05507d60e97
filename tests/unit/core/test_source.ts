import assert from "node:assert/strict";
import type { ByteSource } from "../../../src/core/bytes.ts";

export interface TestSourceOptions {
  /** Bytes per read at most; a function gives each read its own size. Default: as many as fit. */
  chunk?: number | (() => number);
  /** Takes the buffer away by transfer, as a source that fills it on another thread does. */
  transfers?: boolean;
  /** Rejects with `error` once this many bytes were delivered. */
  failAt?: number;
  error?: unknown;
  /** Waits before each read. */
  pause?: () => Promise<void>;
}

/** A source of known bytes that takes every liberty the contract gives it, and holds its reader to the rest. */
export class TestSource implements ByteSource {
  /** Reasons of all cancels. */
  readonly cancels: unknown[] = [];
  /** Bytes delivered. */
  delivered = 0;
  #reading = false;

  constructor(readonly bytes: Uint8Array, readonly options: TestSourceOptions = {}) {}

  async read(view: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
    assert.ok(!this.#reading, "a read began before the last one settled");
    assert.ok(view.byteLength > 0, "a read into no room would look like the end");
    this.#reading = true;
    try {
      return await this.#fill(view);
    } finally {
      this.#reading = false;
    }
  }

  async #fill(view: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
    const { byteOffset, byteLength } = view;
    const { chunk = byteLength, transfers, failAt = Infinity, pause } = this.options;
    const buffer = transfers ? structuredClone(view.buffer, { transfer: [view.buffer] }) : view.buffer;
    await pause?.();
    if (this.cancels.length > 0) throw new Error("read after cancel");
    if (this.delivered >= failAt) throw this.options.error ?? new Error("the source failed");
    const wanted = typeof chunk === "number" ? chunk : chunk();
    const rest = Math.min(this.bytes.byteLength, failAt) - this.delivered;
    const count = Math.max(0, Math.min(wanted, byteLength, rest));
    const room = new Uint8Array(buffer, byteOffset, byteLength);
    room.set(this.bytes.subarray(this.delivered, this.delivered + count));
    room.fill(0xee, count, count + 64); // what stands behind its bytes is its own affair
    if (count === 0 && rest > 0) throw new Error("the test asks for empty chunks");
    if (count === 0 && this.delivered >= failAt) throw this.options.error ?? new Error("the source failed");
    this.delivered += count;
    return room.subarray(0, count);
  }

  cancel(reason: unknown): Promise<void> {
    this.cancels.push(reason);
    return Promise.resolve();
  }
}

/** Bytes without a pattern that a wrong offset could meet again. */
export function testBytes(length: number, seed = 1): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  let state = seed;
  for (let index = 0; index < length; index++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[index] = state >>> 24;
  }
  return bytes;
}

/** The liberties each consumer must cope with. */
export const SOURCE_KINDS: readonly [string, TestSourceOptions][] = [
  ["full chunks", {}],
  ["transferred buffers", { transfers: true }],
  ["chunks of odd sizes", { chunk: 4099, transfers: true }],
];
