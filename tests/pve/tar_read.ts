/** Walks a tar made from generated data and compares every byte; for containers on a discarding storage. */
import { CLUSTER, SyntheticCheck } from "./disk_data.ts";

const RECORD = 512;
const decoder = new TextDecoder();

type Fill = (buffer: Uint8Array) => number;

function text(block: Uint8Array, at: number, length: number): string {
  const field = decoder.decode(block.subarray(at, at + length));
  const end = field.indexOf("\0");
  return end < 0 ? field : field.slice(0, end);
}

function read(fill: Fill, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  if (fill(bytes) < length) throw new Error("tar: Unexpected EOF in archive");
  return bytes;
}

function checkHeader(block: Uint8Array): void {
  const stored = parseInt(text(block, 148, 8).trim(), 8);
  let sum = 0;
  block.forEach((byte, index) => sum += index >= 148 && index < 156 ? 32 : byte);
  if (sum !== stored) throw new Error("tar: This does not look like a tar archive");
}

/** `size` of a pax header's records, undefined if it has none. */
function paxSize(content: string): number | undefined {
  const match = /(?:^|\n)\d+ size=(\d+)\n/.exec(content);
  return match ? Number(match[1]) : undefined;
}

function checkMember(fill: Fill, size: number): number | undefined {
  const check = new SyntheticCheck();
  const buffer = new Uint8Array(CLUSTER);
  for (let at = 0; at < size; at += CLUSTER) {
    const part = buffer.subarray(0, Math.min(CLUSTER, size - at));
    if (fill(part) < part.length) throw new Error("tar: Unexpected EOF in archive");
    if (!check.matches(at / CLUSTER, 0, part)) {
      throw new Error("discarding storage: data is not what the generator makes");
    }
  }
  return check.seed;
}

/** Reads to the end of the input. Answers the configuration and the seed of the (last) generated member. */
export function checkTar(fill: Fill): { config?: string; bytes: number; seed?: number } {
  const result: { config?: string; bytes: number; seed?: number } = { bytes: 0 };
  let size: number | undefined;
  for (;;) {
    const block = new Uint8Array(RECORD);
    const got = fill(block);
    if (got === 0 && result.bytes > 0) return result;
    if (got < RECORD) throw new Error("tar: This does not look like a tar archive");
    result.bytes += RECORD;
    if (block.every((byte) => byte === 0)) continue;
    checkHeader(block);
    const type = text(block, 156, 1);
    const length = (type === "x" ? undefined : size) ?? parseInt(text(block, 124, 12).trim() || "0", 8);
    const name = text(block, 0, 100);
    if (type === "0" && name.endsWith("data.bin")) {
      const seed = checkMember(fill, length);
      if (seed !== undefined) result.seed = seed;
      read(fill, (RECORD - length % RECORD) % RECORD);
    } else {
      const content = decoder.decode(read(fill, Math.ceil(length / RECORD) * RECORD).subarray(0, length));
      if (type === "x") size = paxSize(content);
      if (name === "./etc/vzdump/pct.conf") result.config = content;
    }
    result.bytes += Math.ceil(length / RECORD) * RECORD;
    if (type !== "x") size = undefined;
  }
}
