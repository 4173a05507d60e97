/** From an archive argument to a file: volume ids, real paths, and what a name says about its content. */
import { type Context, ToolError } from "./context.ts";
import { splitVolumeId } from "./config.ts";
import { atLeast } from "./state.ts";

/** `local:backup/x` is a volume id; anything else a path, resolved to its real file. */
export function archiveFile(context: Context, argument: string): string {
  const volume = splitVolumeId(argument);
  let path = argument;
  if (volume !== undefined && !argument.startsWith("/")) {
    const storage = context.state.storages[volume.storage];
    if (storage === undefined) throw new ToolError(`storage '${volume.storage}' does not exist`);
    if (!/^backup\/.+\.(tgz|(tar|vma)(\.(gz|lzo|zst|bz2))?)$/.test(volume.name)) {
      throw new ToolError(`unable to parse directory volume name '${volume.name}'`);
    }
    path = `${storage.path}/dump/${volume.name.slice("backup/".length)}`;
  }
  try {
    const real = Deno.realPathSync(path);
    if (Deno.statSync(real).isFile) return real;
  } catch {
    // Falls through to the one text there is for it.
  }
  throw new ToolError(`can't find file '${argument}'`);
}

export interface ArchiveInfo {
  format: "vma" | "tar";
  /** Decompressor of a VMA, undefined for an uncompressed one. */
  decompressor?: string;
}

const DECOMPRESSORS: Readonly<Record<string, string>> = {
  gz: "zcat",
  lzo: "lzop -d -c",
  zst: "zstd -q -d -c",
  bz2: "bzcat -q",
};

/** Perl's timelocal dies of a date in a standard name that does not exist. */
function refuseImpossibleDate(base: string): void {
  const match = /^vzdump-\w+-[1-9]\d{2,8}-(\d{4})_(\d\d)_(\d\d)-(\d\d)_(\d\d)_(\d\d)\./.exec(base);
  if (!match) return;
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match.slice(1).map(Number);
  const where = "at /usr/share/perl5/PVE/Storage.pm line 1821.";
  if (month < 1 || month > 12) throw new Error(`Month '${month - 1}' out of range 0..11 ${where}`);
  const days = new Date(year, month, 0).getDate();
  if (day < 1 || day > days) throw new Error(`Day '${day}' out of range 1..${days} ${where}`);
  if (hour > 23) throw new Error(`Hour '${hour}' out of range 0..23 ${where}`);
  if (minute > 59) throw new Error(`Minute '${minute}' out of range 0..59 ${where}`);
  if (second > 59) throw new Error(`Second '${second}' out of range 0..59 ${where}`);
}

/** What qmrestore makes of a file name: never of the content. */
export function archiveInfo(path: string, release: string): ArchiveInfo {
  const base = path.slice(path.lastIndexOf("/") + 1);
  const match = /^vzdump-(?:lxc|openvz|qemu)-.+\.(?:(tgz)|(tar|vma)(?:\.(gz|lzo|zst|bz2))?)$/.exec(base);
  const compression = match?.[3];
  if (!match || (compression === "bz2" && !atLeast(release, "8.3"))) {
    throw new Error(`ERROR: couldn't determine archive info from '${path}'`);
  }
  refuseImpossibleDate(base);
  const decompressor = compression === undefined ? undefined : DECOMPRESSORS[compression];
  return {
    format: match[2] === "vma" ? "vma" : "tar",
    ...(decompressor === undefined ? {} : { decompressor }),
  };
}
