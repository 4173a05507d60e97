import { checkArchive } from "../archive/check.ts";
import { ArchiveDamage, type Compression } from "../archive/contents.ts";
import { archiveName } from "../archive/names.ts";
import { messageOf, UserError } from "../core/errors.ts";
import type { EventListener } from "../core/events.ts";
import { type Guest, guestLabel } from "../core/guest.ts";
import type { SnapshotSink } from "../core/sink.ts";
import type { ArchiveRecord } from "../core/snapshot.ts";
import type { ProxmoxNode } from "../proxmox/cluster.ts";
import { type DumpRequest, type DumpSource, startDump } from "../proxmox/dump.ts";
import { isLostTouch } from "../proxmox/lost_touch.ts";
import { gotLock, lastError, percentOf, vzdumpLockHolder, waitsForLock } from "../proxmox/vzdump.ts";
import { CheckedSource } from "./checked_source.ts";

/** What dumping one guest takes. */
export interface DumpTask {
  node: ProxmoxNode;
  sink: Pick<SnapshotSink, "store">;
  request: Omit<DumpRequest, "onLog">;
  /** Milliseconds, see `CheckedSource`. */
  stallTimeout: number;
  /** Start of the dump; names the archive. */
  time: Date;
  listen: EventListener;
  stop: AbortSignal;
}

/** How a dump ended; a good one has an archive. */
export interface DumpResult {
  archive?: ArchiveRecord;
  error?: string;
  bytes: number;
  log: string;
  warnings: string[];
}

/** Warnings kept per guest. */
const WARNINGS_KEPT = 20;

/** What vzdump's spelling of a compression comes to. */
export const COMPRESSION_OF: Record<DumpRequest["settings"]["compress"], Compression> = {
  "0": "none",
  "1": "lzo",
  lzo: "lzo",
  gzip: "gzip",
  zstd: "zstd",
};

/** Dumps one guest into the sink, checking the bytes as they pass. Never rejects: a failure is this guest's. */
export async function dumpGuest(guest: Guest, task: DumpTask): Promise<DumpResult> {
  const compression = COMPRESSION_OF[task.request.settings.compress];
  const name = archiveName({ kind: guest.kind, vmid: guest.vmid, time: task.time, compression });
  const warnings: string[] = [];
  let dump: DumpSource | undefined;
  let checked: CheckedSource | undefined;
  const interrupt = () => void checked?.cancel(task.stop.reason).catch(() => {});
  try {
    task.stop.throwIfAborted();
    dump = await startDump(task.node, guest, {
      ...task.request,
      onLog: logReader(guest, task, warnings),
    });
    const source = new CheckedSource(dump, checkArchive({ kind: guest.kind, compression }), {
      stallTimeout: task.stallTimeout,
      onBytes: (bytes) => task.listen({ type: "bytes", vmid: guest.vmid, bytes }),
    });
    checked = source;
    task.stop.addEventListener("abort", interrupt);
    if (task.stop.aborted) interrupt();
    const archive = await task.sink.store(name, source, ({ bytes, sha256 }) => {
      const { compression, depth, disks } = source.contents;
      return {
        name,
        vmid: guest.vmid,
        kind: guest.kind,
        bytes,
        ...(sha256 ? { sha256 } : {}),
        compression,
        checked: depth,
        ...(disks ? { disks } : {}),
      };
    });
    return { archive, bytes: archive.bytes, log: dump.logTail(), warnings };
  } catch (error) {
    await checked?.cancel(error).catch(() => {});
    const log = dump?.logTail() ?? "";
    return {
      error: explain(guest, error, log, checked?.bytes ?? 0),
      bytes: checked?.bytes ?? 0,
      log,
      warnings,
    };
  } finally {
    task.stop.removeEventListener("abort", interrupt);
  }
}

/** Turns vzdump's log lines into events, and collects its warnings. */
function logReader(guest: Guest, { node, listen }: DumpTask, warnings: string[]): (line: string) => void {
  let isWaiting = false;
  const phase = (text: string) => listen({ type: "phase", vmid: guest.vmid, text });
  const tellWait = async () => {
    isWaiting = true;
    const holder = await vzdumpLockHolder(node);
    if (isWaiting) phase(`waiting for the vzdump lock of the node${holder ? `, held by ${holder}` : ""}`);
  };
  return (line) => {
    const percent = percentOf(line);
    if (percent !== undefined) listen({ type: "percent", vmid: guest.vmid, percent });
    else if (waitsForLock(line)) void tellWait();
    else if (gotLock(line)) {
      isWaiting = false;
      phase("");
    } else if (line.startsWith("WARN: ") && warnings.length < WARNINGS_KEPT) {
      warnings.push(line.slice("WARN: ".length));
    }
  };
}

function explain(guest: Guest, error: unknown, log: string, bytes: number): string {
  const action = `Cannot back up ${guestLabel(guest)}`;
  if (error instanceof UserError && error.kind !== "interrupted") return error.sentence;
  if (error instanceof ArchiveDamage) {
    if (bytes > 0) return `${action}: vzdump wrote no whole archive: ${messageOf(error)}`;
    return `${action}: vzdump ended well without a byte; it does so for a guest of another node`;
  }
  if (error instanceof Error && error.name === "CommandError" && !isLostTouch(error)) {
    return `${action}: ${lastError(log) ?? messageOf(error)}`;
  }
  return `${action}: ${messageOf(error)}`;
}
