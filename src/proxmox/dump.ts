import { parseArchiveName } from "../archive/names.ts";
import type { ByteSource } from "../core/bytes.ts";
import { guestLabel } from "../core/guest.ts";
import { UserError } from "../core/errors.ts";
import { usableSpace } from "../core/space.ts";
import { type CommandEnd, CommandError } from "../runner/runner.ts";
import type { ProxmoxNode } from "./cluster.ts";
import type { GuestId } from "./guest_control.ts";
import { type DumpSettings, lastError, vzdumpArgv } from "./vzdump.ts";

/** What one dump needs beside the guest. */
export interface DumpRequest {
  settings: DumpSettings;
  method: "auto" | "stream" | "file";
  /** A directory of our own for this guest, traversable by others (0711 all the way, see `vzdumpArgv`). */
  workDir: string;
  /** See `JobOptions.hold`. */
  hold: string;
  /** Where to move the file that vzdump wrote (`backup_method=file`); absent: it is removed. */
  keepIn?: string | undefined;
  /** Called with each line of vzdump's log. */
  onLog: (line: string) => void;
}

/**
 * A guest's dump as a stream of bytes. Ends well only after vzdump's exit status 0, which alone proves
 * nothing: vzdump also exits 0, silently and without a byte, for a guest of another node.
 */
export interface DumpSource extends ByteSource {
  /** The last of vzdump's log. */
  logTail(): string;
}

/** Starts to dump a guest of this node. */
export async function startDump(
  node: ProxmoxNode,
  guest: GuestId,
  request: DumpRequest,
): Promise<DumpSource> {
  if (request.method === "file") return dumpThroughFile(node, guest, request);
  const loud = { ...request, settings: { ...request.settings, notify: "pve" as const } };
  const others: Fallback[] = [{ applies: knowsNoSilence, start: () => dumpToStdout(node, guest, loud) }];
  if (request.method === "auto") {
    others.push({
      applies: refusedToStream,
      start: () => Promise.resolve(dumpThroughFile(node, guest, request)),
    });
  }
  return new FallbackDump(await dumpToStdout(node, guest, request), others);
}

async function dumpToStdout(node: ProxmoxNode, guest: GuestId, request: DumpRequest): Promise<DumpSource> {
  const argv = vzdumpArgv(guest, request.settings, node.release, request.workDir, "stdout");
  return await node.runner.read(argv, { logDir: request.workDir, hold: request.hold, onLog: request.onLog });
}

/** Milliseconds between two looks at the free space while vzdump writes a file. */
const SPACE_CHECK_INTERVAL = 1000;

/** Another way to dump, for when vzdump ended before any byte with a certain error. */
interface Fallback {
  applies: (error: CommandError) => boolean;
  start: () => Promise<DumpSource>;
}

/** Whether this release lost an option that turns notifications off; a mail more is better than a backup less. */
function knowsNoSilence(error: CommandError): boolean {
  return /Unknown option: (notification-|mailto)/.test(error.end.logTail);
}

/**
 * Whether vzdump refused to stream, as opposed to failing: its error names the option. The log does not tell,
 * every stream's has "sending archive to stdout" in it.
 */
function refusedToStream(error: CommandError): boolean {
  return /'stdout'|--stdout|\bstdout: option|Unknown option: stdout/.test(error.message);
}

/** Dumps in another way when the first one ended before any byte with an error that tells of one. */
class FallbackDump implements DumpSource {
  #isSettled = false;

  constructor(private current: DumpSource, private readonly others: readonly Fallback[]) {}

  async read(view: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
    const { byteOffset, byteLength, buffer: { byteLength: size } } = view;
    try {
      const chunk = await this.current.read(view);
      this.#isSettled = true;
      return chunk;
    } catch (error) {
      if (this.#isSettled || !(error instanceof CommandError) || error.reason !== "status") throw error;
      this.#isSettled = true;
      const other = this.others.find(({ applies }) => applies(error));
      if (!other) throw error;
      this.current = await other.start();
      // The failed read may have kept the buffer; before the first byte nothing is lost with it.
      return await this.current.read(new Uint8Array(new ArrayBuffer(size), byteOffset, byteLength));
    }
  }

  cancel(reason: unknown): Promise<void> {
    this.#isSettled = true;
    return this.current.cancel(reason);
  }

  logTail(): string {
    return this.current.logTail();
  }
}

function failedDump(guest: GuestId, end: CommandEnd): UserError {
  const reason = lastError(end.logTail) ?? `vzdump ended with status ${end.status}`;
  return new UserError("failed", `Cannot back up ${guestLabel(guest)}: ${reason}`);
}

function fullDisk(guest: GuestId, workDir: string): UserError {
  return new UserError("failed", `Cannot back up ${guestLabel(guest)}: "${workDir}" has run out of space`, {
    hint: "max(5 %, 2 GiB) of a filesystem stay free; give another --dump-dir, or use backup_method=stream",
  });
}

/** Lets vzdump write its file into the working directory, then reads it from there. */
function dumpThroughFile(node: ProxmoxNode, guest: GuestId, request: DumpRequest): DumpSource {
  const { files } = node.runner;
  const stop = new AbortController();
  const spaceWatch = setInterval(() => void stopWhenFull(), SPACE_CHECK_INTERVAL);
  const stopWhenFull = async () => {
    const space = await files.freeSpace(request.workDir).catch(() => undefined);
    if (space && usableSpace(space) === 0) stop.abort(fullDisk(guest, request.workDir));
  };
  const argv = vzdumpArgv(guest, request.settings, node.release, request.workDir, "file");
  const job = node.runner.finish(argv, {
    logDir: request.workDir,
    hold: request.hold,
    onLog: request.onLog,
    stop: stop.signal,
  })
    .finally(() => clearInterval(spaceWatch));
  job.catch(() => {}); // told by the first read, which may come late or never
  let opened: ByteSource | undefined;
  let path = "";
  let tail = "";

  const open = async (): Promise<ByteSource> => {
    const end = await job;
    tail = end.logTail;
    stop.signal.throwIfAborted();
    if (end.status !== 0) throw failedDump(guest, end);
    const name = (await files.list(request.workDir)).find((entry) => parseArchiveName(entry) !== null);
    if (name === undefined) {
      throw new UserError("failed", `Cannot back up ${guestLabel(guest)}: vzdump wrote no archive`, {
        hint: "a guest of another node is skipped in silence; look at the log",
      });
    }
    path = `${request.workDir}/${name}`;
    return await files.open(path);
  };
  const putAway = async () => {
    if (path === "") return;
    if (request.keepIn !== undefined) await files.link(path, `${request.keepIn}/${path.split("/").at(-1)}`);
    await files.removeFile(path);
    path = "";
  };

  return {
    async read(view) {
      opened ??= await open();
      const chunk = await opened.read(view);
      if (chunk.byteLength === 0) await putAway();
      return chunk;
    },
    async cancel(reason) {
      stop.abort(reason);
      await job.catch(() => {});
      await opened?.cancel(reason);
      await putAway();
    },
    logTail: () => tail,
  };
}
