import { statfs } from "node:fs/promises";
import type { ByteSource } from "../core/bytes.ts";
import { messageOf } from "../core/errors.ts";
import type { FileWriter, NodeFiles } from "./runner.ts";
import { decodeText, MAX_TEXT_BYTES } from "./text_file.ts";

/** The files of this machine. */
export class LocalFiles implements NodeFiles {
  async makeDir(path: string, mode: number): Promise<void> {
    await Deno.mkdir(path, { mode });
    await Deno.chmod(path, mode); // whatever the umask took away
  }

  async stat(path: string): Promise<{ kind: "file" | "dir" | "other"; size: number; mode: number } | null> {
    const info = await nullIfMissing(Deno.stat(path));
    if (info === null) return null;
    const kind = info.isFile ? "file" : info.isDirectory ? "dir" : "other";
    return { kind, size: info.size, mode: (info.mode ?? 0) & 0o7777 };
  }

  /** Names that are not UTF-8 are left out: no path can be made of them. */
  async list(path: string): Promise<string[]> {
    const names: string[] = [];
    for await (const entry of Deno.readDir(path)) names.push(entry.name);
    return names;
  }

  async readText(path: string): Promise<string | null> {
    const file = await nullIfMissing(Deno.open(path));
    if (file === null) return null;
    try {
      return decodeText(await readUpTo(file, MAX_TEXT_BYTES, path));
    } finally {
      file.close();
    }
  }

  async open(path: string): Promise<ByteSource> {
    // Opening a FIFO would wait for its writer.
    if (!(await Deno.stat(path)).isFile) throw new TypeError(`Cannot read "${path}": not a regular file`);
    return new FileSource(path, await Deno.open(path));
  }

  async create(path: string): Promise<FileWriter> {
    return new LocalFileWriter(
      path,
      await Deno.open(path, { write: true, createNew: true, mode: 0o600 }),
    );
  }

  async link(existing: string, name: string): Promise<void> {
    await Deno.link(existing, name);
    await syncDirectory(parentOf(name));
  }

  async freeSpace(path: string): Promise<{ free: number; total: number }> {
    const { bavail, blocks, bsize } = await statfs(path);
    return { free: bavail * bsize, total: blocks * bsize };
  }

  async lock(path: string): Promise<{ release(): Promise<void> }> {
    const file = await Deno.open(path, { write: true, createNew: true, mode: 0o600 });
    await file.lock(true);
    let held = true;
    return {
      release(): Promise<void> {
        if (held) file.close();
        held = false;
        return Promise.resolve();
      },
    };
  }

  async removeFile(path: string): Promise<void> {
    const info = await nullIfMissing(Deno.lstat(path));
    if (info === null) return;
    // Deno's remove and unlink take an empty directory too.
    if (info.isDirectory) throw new TypeError(`Cannot remove "${path}": it is a directory`);
    await nullIfMissing(Deno.remove(path));
  }

  async removeTree(path: string): Promise<void> {
    await nullIfMissing(Deno.remove(path, { recursive: true }));
  }

  async removeEmptyDir(path: string): Promise<boolean> {
    const info = await nullIfMissing(Deno.lstat(path));
    if (!info?.isDirectory) return false;
    try {
      await Deno.remove(path);
      return true;
    } catch (error) {
      if (["ENOTEMPTY", "EEXIST", "ENOENT"].includes(codeOf(error))) return false;
      throw error;
    }
  }
}

class FileSource implements ByteSource {
  #open = true;

  constructor(readonly path: string, readonly file: Deno.FsFile) {}

  async read(view: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
    const length = this.#open ? await named(`read "${this.path}"`, this.file.read(view)) : null;
    if (length === null) await this.cancel();
    return view.subarray(0, length ?? 0);
  }

  cancel(): Promise<void> {
    if (this.#open) this.file.close();
    this.#open = false;
    return Promise.resolve();
  }
}

class LocalFileWriter implements FileWriter {
  #open = true;

  constructor(readonly path: string, readonly file: Deno.FsFile) {}

  async write(chunk: Uint8Array): Promise<void> {
    for (let done = 0; done < chunk.length;) {
      done += await named(`write "${this.path}"`, this.file.write(chunk.subarray(done)));
    }
  }

  async close(): Promise<void> {
    try {
      await named(`write "${this.path}"`, this.file.sync());
    } finally {
      await this.abort();
    }
    await named(`write "${this.path}"`, syncDirectory(parentOf(this.path)));
  }

  abort(): Promise<void> {
    if (this.#open) this.file.close();
    this.#open = false;
    return Promise.resolve();
  }
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/") + 1) || ".";
}

/** Makes the names in a directory survive a power cut. One that we may not open for reading is left alone. */
async function syncDirectory(path: string): Promise<void> {
  let dir: Deno.FsFile;
  try {
    dir = await Deno.open(path);
  } catch (error) {
    if (codeOf(error) === "EACCES") return;
    throw error;
  }
  try {
    await dir.sync();
  } finally {
    dir.close();
  }
}

async function readUpTo(file: Deno.FsFile, limit: number, path: string): Promise<Uint8Array> {
  const size = (await file.stat()).size;
  // One byte more than expected tells a file that is longer; files of /proc and pmxcfs may say size 0.
  const buffer = new Uint8Array(Math.min(Math.max(size, 64 * 1024), limit) + 1);
  let length = 0;
  while (length < buffer.length) {
    const got = await file.read(buffer.subarray(length));
    if (got === null) return buffer.subarray(0, length);
    length += got;
  }
  throw new RangeError(`Cannot read "${path}": more than ${limit} bytes`);
}

/** What fails on an open file does not say which; this does, and keeps the system's `code`. */
async function named<T>(action: string, done: Promise<T>): Promise<T> {
  try {
    return await done;
  } catch (cause) {
    const error = new Error(`Cannot ${action}: ${messageOf(cause)}`, { cause });
    throw codeOf(cause) === "" ? error : Object.assign(error, { code: codeOf(cause) });
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}

async function nullIfMissing<T>(result: Promise<T>): Promise<T | null> {
  try {
    return await result;
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes(codeOf(error))) return null;
    throw error;
  }
}
