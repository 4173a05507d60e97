import type { ByteSource } from "./bytes.ts";
import type { GuestKind } from "./guest.ts";
import type { ArchiveRecord, Manifest, Report } from "./snapshot.ts";

/** Where a backup goes. Calls come in this order: `begin`, any number of `store`, `finish`. */
export interface SnapshotSink {
  begin(manifest: Manifest): Promise<void>;
  /**
   * Takes all of `source` under the archive's base name. `record` is asked once the source has ended well;
   * its answer is kept beside the archive. When anything fails, `source` is cancelled, nothing of the archive
   * remains and the call rejects. Calls may overlap, for different names.
   */
  store(
    name: string,
    source: ByteSource,
    record: (stored: { bytes: number; sha256?: string }) => ArchiveRecord,
  ): Promise<ArchiveRecord>;
  /** Closes the run. A run that is never finished stays visible as incomplete. */
  finish(report: Report): Promise<void>;
}

/** An archive that can be restored. */
export interface StoredArchive {
  /** Id of the snapshot that holds it; absent for a plain vzdump file. */
  snapshot?: string;
  /** Base name. */
  name: string;
  kind: GuestKind;
  /** The vmid it was taken from; absent when an old custom name does not tell. */
  vmid?: number;
  taken?: Date;
  /** Release of Proxmox VE on the node that it was taken on, where a manifest tells: `8.4.1`. */
  release?: string;
  /** The guest's pool, where a manifest tells. */
  pool?: string;
  bytes: number;
  /** Lower-case hex, when it was recorded. */
  sha256?: string;
}

/** Where a restore comes from. */
export interface SnapshotSource {
  open(archive: StoredArchive): Promise<ByteSource>;
}
