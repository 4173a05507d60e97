import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { RecordSchema } from "./proto/connectors_pb.ts";

export type RecordInit = MessageInitShape<typeof RecordSchema>;

/** Bit of a directory in the mode (Go's fs.FileMode, which plakar uses, not stat's). */
const MODE_DIR = 0x8000_0000;

/** A directory of the snapshot. */
export function directoryRecord(pathname: string, time: Date): RecordInit {
  return { pathname, fileInfo: fileInfo(pathname, MODE_DIR | 0o700, 0, time) };
}

/**
 * A file whose content is asked for later. `size` may be an estimate or 0, never -1: with an unchanged path and
 * time that would make plakar take the old content again, without asking.
 */
export function fileRecord(pathname: string, size: number, time: Date): RecordInit {
  return { hasReader: true, pathname, fileInfo: fileInfo(pathname, 0o600, size, time) };
}

/** Something that could not be had; plakar shows it as failed and counts it. */
export function failedRecord(pathname: string, error: string): RecordInit {
  return { pathname, error };
}

function fileInfo(pathname: string, mode: number, size: number, time: Date) {
  return {
    name: pathname === "/" ? "/" : pathname.slice(pathname.lastIndexOf("/") + 1),
    size: BigInt(size),
    mode: mode >>> 0,
    modTime: timestampFromDate(time),
    dev: 1n,
    nlink: 1,
  };
}
