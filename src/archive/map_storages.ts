import { Buffer } from "node:buffer";
import { storageFor, type StorageMap } from "../core/storage_map.ts";
import { vmDisks } from "./guest_volumes.ts";

/** Disk, device, storage and format as vzdump notes them for qmrestore. */
const MAP_LINE = /^(#qmdump#map:([^:]+):[^:]+:)[^:]*(:[^]*)$/;
const DRIVE_LINE = /^([a-z]+\d+):\s*(.*\S)/;

/**
 * The `qemu-server.conf` of an archive with other storages: those that qmrestore reads from the notes of vzdump and,
 * for the cloud-init drive, which is in no backup, from its own line. Every other byte stays.
 */
export function withStorages(config: Uint8Array, map: StorageMap): Uint8Array {
  // Latin-1 gives each byte back as it was, whatever the text's encoding is.
  const text = Buffer.from(config.buffer, config.byteOffset, config.byteLength).toString("latin1");
  const lines = text.split("\n").map((line) => withStorage(line, map));
  return new Uint8Array(Buffer.from(lines.join("\n"), "latin1"));
}

function withStorage(line: string, map: StorageMap): string {
  const [, start, disk = "", rest] = MAP_LINE.exec(line) ?? [];
  if (start !== undefined) {
    const storage = storageFor(map, disk);
    return storage === undefined ? line : start + storage + rest;
  }
  const [, key = "", value = ""] = DRIVE_LINE.exec(line) ?? [];
  const drive = vmDisks({ [key]: value })[0];
  const storage = storageFor(map, key);
  if (drive?.type !== "cloudinit" || drive.storage === undefined || storage === undefined) return line;
  const renamed = drive.volume.replace(drive.storage, () => storage);
  return line.replace(drive.volume, () => renamed);
}
