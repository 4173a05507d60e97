import { checkArchive } from "../archive/check.ts";
import type { DecoderFactory } from "../archive/contents.ts";
import { readWhole } from "../archive/read_whole.ts";
import type { ByteSource } from "../core/bytes.ts";
import { messageOf } from "../core/errors.ts";
import { guestLabel } from "../core/guest.ts";
import type { ListedArchive, ListedSnapshot } from "./snapshot_reader.ts";

/**
 * Proves one archive: every byte hashed and compared with the record, decompressed and walked to its end, and
 * what it holds compared with record and manifest.
 *
 * @returns what is wrong, in words; empty when all is well
 */
export async function verifyArchive(
  archive: ListedArchive,
  snapshot: ListedSnapshot | undefined,
  from: { open: () => Promise<ByteSource>; decoder: DecoderFactory },
): Promise<string[]> {
  const { record } = archive;
  try {
    const compression = record ? { compression: record.compression } : {};
    const check = checkArchive({ kind: archive.kind, ...compression }, from.decoder);
    const { contents, sha256 } = await readWhole(await from.open(), check, {
      isHashed: record?.sha256 !== undefined,
    });
    const wrong: string[] = [];
    if (record && record.bytes !== contents.bytes) {
      wrong.push(`it has ${contents.bytes} bytes, ${record.bytes} were recorded`);
    }
    if (record?.sha256 !== undefined && record.sha256 !== sha256) {
      wrong.push(`its sha256 is ${sha256}, ${record.sha256} was recorded`);
    }
    if (record?.disks && textOf(record.disks) !== textOf(contents.disks ?? [])) {
      wrong.push(`it holds ${textOf(contents.disks ?? [])}, but ${textOf(record.disks)} was recorded`);
    }
    if (record && (record.kind !== archive.kind || record.vmid !== (archive.vmid ?? record.vmid))) {
      wrong.push(`its record is of ${guestLabel(record)}`);
    }
    const listed = snapshot?.manifest?.guests.find((guest) => guest.vmid === archive.vmid);
    if (snapshot?.manifest && !listed) wrong.push("the manifest does not name its guest");
    if (listed && listed.kind !== archive.kind) wrong.push(`the manifest says its guest is ${listed.kind}`);
    return wrong;
  } catch (error) {
    return [messageOf(error)];
  }
}

function textOf(disks: readonly { key: string; size: number }[]): string {
  return disks.map(({ key, size }) => `${key} (${size} bytes)`).sort().join(", ") || "no disk";
}

/** Archives that the report of a snapshot tells of and that are not there. */
export function missingArchives(snapshot: ListedSnapshot): string[] {
  const there = new Set(snapshot.archives.map((archive) => archive.name));
  const told = (snapshot.report?.guests ?? []).flatMap((guest) => guest.archive ? [guest.archive.name] : []);
  return told.filter((name) => !there.has(name));
}
