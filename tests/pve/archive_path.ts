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

/** What qmrestore makes of a file name: never of the content. */
export function archiveInfo(path: string, release: string): ArchiveInfo {
  const base = path.slice(path.lastIndexOf("/") + 1);
  const match = /^vzdump-(?:lxc|openvz|qemu)-.+\.(?:(tgz)|(tar|vma)(?:\.(gz|lzo|zst|bz2))?)$/.exec(base);
  const compression = match?.[3];
  if (!match || (compression === "bz2" && !atLeast(release, "8.3"))) {
    throw new Error(`ERROR: couldn't determine archive info from '${path}'`);
  }
  const month = /-\d{4}_(\d\d)_(\d\d)-(\d\d)_(\d\d)_(\d\d)\.[^-]*$/.exec(base);
  if (month && (Number(month[1]) < 1 || Number(month[1]) > 12)) {
    throw new Error(
      `Month '${Number(month[1]) - 1}' out of range 0..11 at /usr/share/perl5/PVE/Storage.pm line 1821.`,
    );
  }
  const decompressor = compression === undefined ? undefined : DECOMPRESSORS[compression];
  return {
    format: match[2] === "vma" ? "vma" : "tar",
    ...(decompressor === undefined ? {} : { decompressor }),
  };
}
