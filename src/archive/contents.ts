import type { GuestKind } from "../core/guest.ts";

/** How an archive is compressed; `none` is what `--compress 0` writes. */
export type Compression = "none" | "gzip" | "lzo" | "zstd" | "bzip2";

/** VM archives are VMA, container archives tar. */
export type ArchiveFormat = "vma" | "tar";

/** One disk (VMA device) or volume (rootfs, mpN) that an archive holds. */
export interface ArchiveDisk {
  /** Config key: `scsi0`, `efidisk0`, `rootfs`, `mp0`. */
  key: string;
  /** Bytes: the device's size for VMA; the `size=` of the config for containers, 0 when it has none. */
  size: number;
  /** Storage the disk came from; absent when the archive does not say. */
  storage?: string;
}

/** What a check has learned about an archive that proved whole. */
export interface ArchiveContents {
  kind: GuestKind;
  format: ArchiveFormat;
  compression: Compression;
  /** Size of the archive as stored, bytes. */
  bytes: number;
  /**
   * `contents`: decompressed and walked to the end of VMA or tar. `frames`: only the compression's own
   * frames were walked; config and disks are then unknown.
   */
  depth: "contents" | "frames";
  /** `qemu-server.conf` or `pct.conf`, decoded as UTF-8 (Latin-1 where it is not UTF-8). */
  config?: string;
  /** `qemu-server.fw` or `pct.fw`, when not empty. */
  firewall?: string;
  disks?: ArchiveDisk[];
}

/** What stands at an archive's beginning. */
export interface ArchiveHead {
  compression: Compression;
  config: string;
  firewall?: string;
  disks: ArchiveDisk[];
}

/** The archive is not whole or not what it should be. The message says where, in bytes. */
export class ArchiveDamage extends Error {
  override readonly name = "ArchiveDamage";
}

/**
 * Decompresses what is written to it and hands the output to a callback given at creation.
 * `write` settles when the bytes were taken (back-pressure) and rejects when the input is bad;
 * `end` settles when all output was delivered and the decompressor succeeded.
 */
export interface Decoder {
  write(chunk: Uint8Array): Promise<void>;
  end(): Promise<void>;
  cancel(reason: unknown): Promise<void>;
}

/** Starts a decoder for a compression that needs an external tool. */
export type DecoderFactory = (
  compression: "zstd" | "lzo" | "bzip2",
  onOutput: (chunk: Uint8Array) => void | Promise<void>,
) => Promise<Decoder>;

/** An incremental check. Not reusable; after a rejection nothing more may be pushed. */
export interface ArchiveCheck {
  /** The chunk's bytes are only looked at until this returns (or its promise settles); they are not kept. */
  push(chunk: Uint8Array): void | Promise<void>;
  /** Must be called at the end of the bytes. Throws {@linkcode ArchiveDamage} unless the archive is whole. */
  end(): Promise<ArchiveContents>;
  /** Frees a decoder that is still running. */
  cancel(reason: unknown): Promise<void>;
}
