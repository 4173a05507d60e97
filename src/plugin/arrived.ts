import type { ArchiveContents } from "../archive/contents.ts";
import type { ByteSource } from "../core/bytes.ts";
import type { StoredArchive } from "../core/sink.ts";
import type { ProxmoxNode } from "../proxmox/cluster.ts";
import type { WorkDir } from "../proxmox/work_dir.ts";
import type { Record } from "./proto/connectors_pb.ts";

/** An archive that has arrived whole and waits for what stands beside it, or of which only the beginning is here. */
export interface ArrivedArchive {
  record: Record;
  archive: StoredArchive;
  contents: Pick<ArchiveContents, "compression" | "config" | "disks">;
  /** The node it was brought to: where its target lives, or will. */
  node: ProxmoxNode;
  workDir: WorkDir;
  /** Where it lies on the node, in `workDir`. */
  path: string;
  target: number | undefined;
  /** All of the archive, where it is to be restored while it comes: before anything else is asked for. */
  stream?: ByteSource;
}
