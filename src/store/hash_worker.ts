/// <reference lib="deno.worker" />
import { createHash } from "node:crypto";

/**
 * Hashes buffers on a thread of its own; each buffer is handed over and handed back.
 * In: `{ buffer, length }` to add, `{ finish: true }` for the digest. Out: `{ buffer }`, `{ sha256 }`.
 */
const hash = createHash("sha256");

self.onmessage = ({ data }: MessageEvent<{ buffer: ArrayBuffer; length: number } | { finish: true }>) => {
  if ("finish" in data) return self.postMessage({ sha256: hash.digest("hex") });
  hash.update(new Uint8Array(data.buffer, 0, data.length));
  self.postMessage({ buffer: data.buffer }, [data.buffer]);
};
