import type { EventListener } from "../core/events.ts";
import type { Nodes } from "../proxmox/nodes.ts";
import type { DumpSettings } from "../proxmox/vzdump.ts";
import type { Selected } from "./select.ts";

/** What to back up, and how. */
export interface BackupRequest {
  selected: Selected;
  settings: DumpSettings;
  method: "auto" | "stream" | "file";
  /** Directory on each node under which the run makes its own. */
  dumpDir: string;
  /** Nodes at work at once; on each, one guest is dumped at a time. */
  maxNodes: number;
  /** Seconds, see `CheckedSource`. */
  stallTimeout: number;
  onError: "continue" | "fail";
  /** False keeps an archive that vzdump wrote as a file: it is moved up into `dumpDir`. */
  cleanup: boolean;
  /** The options in force, for the manifest. */
  options: Record<string, unknown>;
  /** Time in the archives' names, where they must be known before the dumps begin; absent: each dump's start. */
  nameTime?: Date;
}

export interface BackupContext {
  nodes: Nodes;
  runId: string;
  /** Name and version of this program. */
  program: string;
  now: () => Date;
  listen: EventListener;
  /** Aborted to end the running dumps and start no other. */
  stop: AbortSignal;
}
