import { statfs } from "node:fs/promises";
import { dirname } from "node:path";
import type { ByteSource } from "../core/bytes.ts";
import { messageOf, UserError } from "../core/errors.ts";
import type { SnapshotSink } from "../core/sink.ts";
import type { ArchiveRecord, Manifest, Report } from "../core/snapshot.ts";
import { usableSpace } from "../core/space.ts";
import { copyBuffered } from "./buffered_copy.ts";
import { syncDir, writeJson } from "./durable.ts";
import { HashedFile } from "./hashed_file.ts";
import { MANIFEST, parseSnapshotName, PART, RECORD, REPORT, RUN_LOCK, snapshotName } from "./layout.ts";

/** Bytes written, by all archives together, between two looks at the free space. */
const SPACE_CHECK_BYTES = 64 * 1024 * 1024;

/** Milliseconds that clocks of several writers may differ before it is worth a word. */
const CLOCK_TOLERANCE = 60_000;

/**
 * Writes one snapshot into a store directory.
 *
 * Write order, so that a crash at any moment leaves only whole things under their final names: manifest;
 * per archive the part file (synced), its record, the rename; at last the report.
 */
export class SnapshotWriter implements SnapshotSink {
  readonly path: string;
  #lock: Deno.FsFile | undefined;
  #madeRoot = false;
  /** Names taken or about to be. */
  readonly #stored = new Set<string>();
  /** Bytes written since the last look at the free space. */
  #unchecked = 0;

  private constructor(private readonly root: string, private readonly started: Date, runId: string) {
    this.path = `${root}/${snapshotName(started, runId)}`;
  }

  /**
   * Makes the snapshot's directory (0700: archives hold /etc/shadow), and the store's when only its last
   * component is missing.
   *
   * @throws {UserError} of kind `usage` when the store cannot be written to
   */
  static async create(store: string, started: Date, runId: string): Promise<SnapshotWriter> {
    const writer = new SnapshotWriter(store, started, runId);
    try {
      writer.#madeRoot = await makeDir(store);
      await Deno.mkdir(writer.path, { mode: 0o700 });
      writer.#lock = await Deno.open(`${writer.path}/${RUN_LOCK}`, {
        write: true,
        createNew: true,
        mode: 0o600,
      });
      await writer.#lock.lock(true);
    } catch (cause) {
      throw new UserError("usage", `Cannot write to "${store}": ${messageOf(cause)}`, {
        hint: "make its parent directory first, mount the disk, or give another with --to",
        cause,
      });
    }
    return writer;
  }

  /** The newest snapshot there by its name, where it is of a later time than this one: a clock is or was wrong. */
  async laterSnapshot(): Promise<string | undefined> {
    const names = (await Array.fromAsync(Deno.readDir(this.root))).map((entry) => entry.name);
    const latest = this.started.getTime() + CLOCK_TOLERANCE;
    return names.filter((name) => (parseSnapshotName(name)?.getTime() ?? 0) > latest).sort().at(-1);
  }

  async begin(manifest: Manifest): Promise<void> {
    await this.#writeDocument(MANIFEST, manifest, [this.root, ...this.#madeRoot ? [dirname(this.root)] : []]);
  }

  async store(
    name: string,
    source: ByteSource,
    record: (stored: { bytes: number; sha256?: string }) => ArchiveRecord,
  ): Promise<ArchiveRecord> {
    const path = `${this.path}/${name}`;
    if (this.#stored.has(name)) throw new TypeError(`The snapshot already holds "${name}"`);
    this.#stored.add(name);
    try {
      const stored = await this.#writePart(path + PART, source);
      const kept = record(stored);
      await onDisk(path, async () => {
        await writeJson(path + RECORD, kept);
        await Deno.rename(path + PART, path);
        await syncDir(this.path);
      });
      return kept;
    } catch (error) {
      await source.cancel(error).catch(() => {});
      this.#stored.delete(name);
      for (const left of [path, path + PART, path + RECORD]) await Deno.remove(left).catch(() => {});
      throw error;
    }
  }

  async #writePart(part: string, source: ByteSource): Promise<{ bytes: number; sha256: string }> {
    await this.#requireSpace();
    const file = await onDisk(part, () => HashedFile.create(part));
    let bytes = 0;
    try {
      await copyBuffered(source, async (buffer, length) => {
        bytes += length;
        this.#unchecked += length;
        // Called before anything is awaited: the file takes buffers in the order of the calls.
        const appended = onDisk(part, () => file.append(buffer, length));
        if (this.#unchecked < SPACE_CHECK_BYTES) return await appended;
        this.#unchecked = 0;
        const [free] = await Promise.all([appended, this.#requireSpace()]);
        return free;
      });
      return { bytes, sha256: await onDisk(part, () => file.finish()) };
    } finally {
      file.close();
    }
  }

  /** The reserve decides, not an estimate: the provisioned size of a guest says little about its dump. */
  async #requireSpace(): Promise<void> {
    const { bsize, bavail, blocks } = await statfs(this.path);
    if (usableSpace({ free: bavail * bsize, total: blocks * bsize }) > 0) return;
    const free = Math.round(bavail * bsize / 1024 ** 2);
    throw new UserError("failed", `Cannot go on writing to "${this.root}": only ${free} MiB are free`, {
      hint: "max(5 %, 2 GiB) of a filesystem stay free; make room or give another directory with --to",
    });
  }

  async finish(report: Report): Promise<void> {
    await this.#writeDocument(REPORT, report);
  }

  /** `above`: further directories whose names must have reached the disk. */
  async #writeDocument(name: string, document: Manifest | Report, above: string[] = []): Promise<void> {
    const path = `${this.path}/${name}`;
    try {
      await onDisk(path, async () => {
        await writeJson(path, document);
        for (const dir of [this.path, ...above]) await syncDir(dir);
      });
    } catch (error) {
      await Deno.remove(path).catch(() => {});
      throw error;
    }
  }

  /** Gives the snapshot's lock back; when the run has not even begun, what `create` made goes again. */
  async close(): Promise<void> {
    await Deno.remove(`${this.path}/${RUN_LOCK}`).catch(() => {});
    this.#lock?.close();
    this.#lock = undefined;
    const names = (await Array.fromAsync(Deno.readDir(this.path))).map((entry) => entry.name);
    if (names.length > 0) return;
    await Deno.remove(this.path);
    // Another run may have put its own snapshot there meanwhile: only an empty directory can be removed so.
    if (this.#madeRoot) await Deno.remove(this.root).catch(() => {});
  }
}

/** Says of what fails in `write` that `path` could not be written. */
async function onDisk<T>(path: string, write: () => Promise<T>): Promise<T> {
  try {
    return await write();
  } catch (cause) {
    throw new UserError("failed", `Cannot write "${path}": ${messageOf(cause)}`, {
      hint: "look at that disk and its filesystem, or give another directory with --to",
      cause,
    });
  }
}

/** Makes a directory for our eyes only; answers whether it was not there before. */
async function makeDir(path: string): Promise<boolean> {
  try {
    await Deno.mkdir(path, { mode: 0o700 });
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists && (await Deno.stat(path)).isDirectory) return false;
    throw error;
  }
}
