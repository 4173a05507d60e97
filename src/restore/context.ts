import type { DecoderFactory } from "../archive/contents.ts";
import type { EventListener } from "../core/events.ts";
import type { SnapshotSource } from "../core/sink.ts";
import type { ProxmoxNode } from "../proxmox/cluster.ts";
import type { WorkDir } from "../proxmox/work_dir.ts";

/** What a restore takes once the archive is on the node. */
export interface ReplaceContext {
  /** The plan's node. */
  node: ProxmoxNode;
  /** Where the archive was staged. */
  workDir: WorkDir;
  /** Seconds for a clean shutdown. */
  shutdownTimeout: number;
  /** KiB/s. */
  bwlimit?: number | undefined;
  /** Set in the guest by the job that restores it. */
  settings?: Readonly<Record<string, string>>;
  listen: EventListener;
  stop: AbortSignal;
  /** Writes down what is known so far; a replace does not begin before this has resolved. */
  save: () => Promise<void>;
}

export interface RestoreContext extends ReplaceContext {
  source: SnapshotSource;
  decoder: DecoderFactory;
  /** Throws where an archive of this size is not the one that was recorded: asked of a stream before its tool is told its end. */
  requireBytes?: (bytes: number) => void;
}
