/** Tar headers as GNU tar's pax format has them, for synthetic containers and for archives of the wrong kind. */
import type { Production } from "./archive_thread.ts";
import { CLUSTER, openDisk } from "./disk_data.ts";

const RECORD = 512;
const PADDING = 10240;
const encoder = new TextEncoder();

interface Header {
  name: string;
  size: number;
  mode: number;
  type: "0" | "5" | "x";
}

function octal(value: number, digits: number): string {
  return value.toString(8).padStart(digits, "0");
}

/** One ustar header block. Sizes beyond 8 GiB come by a pax record; the field then holds zero. */
function headerBlock({ name, size, mode, type }: Header): Uint8Array {
  const block = new Uint8Array(RECORD);
  const put = (at: number, text: string) => block.set(encoder.encode(text), at);
  put(0, name);
  put(100, octal(mode, 7));
  put(108, octal(0, 7));
  put(116, octal(0, 7));
  put(124, octal(size >= 8 * 1024 ** 3 ? 0 : size, 11));
  put(136, octal(1704164645, 11));
  put(148, "        ");
  put(156, type);
  put(257, "ustar");
  put(263, "00");
  const sum = block.reduce((total, byte) => total + byte, 0);
  put(148, octal(sum, 6) + "\0 ");
  return block;
}

/** A pax record: its own length, key and value. */
function paxRecord(key: string, value: string): string {
  let length = key.length + value.length + 3;
  while (`${length} ${key}=${value}\n`.length !== length) length++;
  return `${length} ${key}=${value}\n`;
}

function padded(content: Uint8Array): Uint8Array {
  const result = new Uint8Array(Math.ceil(content.length / RECORD) * RECORD);
  result.set(content);
  return result;
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const result = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    result.set(part, at);
    at += part.length;
  }
  return result;
}

/** Headers of a member: a pax header with times (and the size, if it needs one), then the ustar header. */
function memberHeaders(name: string, size: number, mode: number, type: "0" | "5"): Uint8Array {
  const times = paxRecord("mtime", "1704164645.123456789") + paxRecord("atime", "1704164645.123456789") +
    paxRecord("ctime", "1704164645.123456789");
  const pax = encoder.encode(times + (size >= 8 * 1024 ** 3 ? paxRecord("size", String(size)) : ""));
  const cut = name.lastIndexOf("/", name.length - 2);
  const paxName = `${name.slice(0, cut)}/PaxHeaders/${name.slice(cut + 1)}`;
  return concat([
    headerBlock({ name: paxName, size: pax.length, mode: 0o644, type: "x" }),
    padded(pax),
    headerBlock({ name, size, mode, type }),
  ]);
}

/** `./etc/vzdump/pct.conf` and `./etc/vzdump/pct.fw`, then the root directory. */
export function tarHead(config: string, firewall: string): Uint8Array {
  const members = [["./etc/vzdump/pct.conf", config], ["./etc/vzdump/pct.fw", firewall]] as const;
  const parts = members.flatMap(([name, text]) => {
    const content = encoder.encode(text);
    return [memberHeaders(name, content.length, 0o644, "0"), padded(content)];
  });
  return concat([...parts, memberHeaders("./", 0, 0o755, "5")]);
}

/** Writes head, generated members, the two zero blocks and the padding. */
export function writeSyntheticTar(
  head: Uint8Array,
  members: readonly { name: string; size: number; seed: number }[],
  write: (bytes: Uint8Array) => void,
): void {
  let total = 0;
  const put = (bytes: Uint8Array) => {
    write(bytes);
    total += bytes.length;
  };
  put(head);
  for (const { name, size, seed } of members) {
    put(memberHeaders(name, size, 0o644, "0"));
    const reader = openDisk({ size, seed, synthetic: true });
    for (let at = 0; at < size; at += CLUSTER) {
      const bytes = reader.bytes(at / CLUSTER).subarray(0, Math.min(CLUSTER, size - at));
      put(bytes.subarray(0, CLUSTER / 2));
      if (bytes.length > CLUSTER / 2) put(bytes.subarray(CLUSTER / 2));
    }
    put(new Uint8Array((RECORD - size % RECORD) % RECORD));
  }
  put(new Uint8Array(2 * RECORD));
  put(new Uint8Array((PADDING - total % PADDING) % PADDING));
}

/** A small good tar, for a VM that gives the wrong kind of archive. */
export function wrongKindTar(vmid: number): Production {
  return { kind: "tar", head: tarHead(`hostname: wrong-${vmid}\n`, ""), members: [] };
}
