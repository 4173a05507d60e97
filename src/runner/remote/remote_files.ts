import type { ByteSource } from "../../core/bytes.ts";
import type { Argv, FileWriter, NodeFiles } from "../runner.ts";
import { collect, type Collected } from "../short_command.ts";
import { decodeText, MAX_TEXT_BYTES } from "../text_file.ts";
import { LOCK_FILE } from "./programs.ts";
import { startShort } from "./remote_command.ts";
import { openRemoteFile } from "./remote_file_source.ts";
import { RemoteFileWriter } from "./remote_file_writer.ts";
import { type Reach, RemoteProgram } from "./remote_program.ts";
import { codeOf, fileError } from "./system_error.ts";

// File type bits of st_mode, inode(7).
const TYPE_BITS = 0o170000;
const REGULAR = 0o100000;
const DIRECTORY = 0o040000;

/** The files of a node, by its own small tools. Paths are absolute. */
export class RemoteFiles implements NodeFiles {
  constructor(readonly reach: Reach) {}

  async makeDir(path: string, mode: number): Promise<void> {
    // With -m, mkdir gives exactly this mode, whatever the umask.
    await this.#run(["mkdir", "-m", mode.toString(8), "--", path], `create directory "${path}"`);
  }

  async stat(path: string): Promise<{ kind: "file" | "dir" | "other"; size: number; mode: number } | null> {
    const text = await nullIfMissing(
      this.#text(["stat", "-L", "-c", "%f %s", "--", path], `look at "${path}"`),
    );
    if (text === null) return null;
    const [bits, size] = text.split(" ");
    const mode = parseInt(bits!, 16);
    const type = mode & TYPE_BITS;
    const kind = type === REGULAR ? "file" : type === DIRECTORY ? "dir" : "other";
    return { kind, size: Number(size), mode: mode & 0o7777 };
  }

  /** Names that are not UTF-8 are left out: no path can be made of them. */
  async list(path: string): Promise<string[]> {
    const find = ["find", `${path}/.`, "-mindepth", "1", "-maxdepth", "1", "-printf", "%f\\0"] as const;
    const { stdout } = await this.#run(find, `list "${path}"`);
    const names: string[] = [];
    for (let start = 0; start < stdout.length;) {
      const end = stdout.indexOf(0, start);
      const name = utf8(stdout.subarray(start, end));
      if (name !== undefined) names.push(name);
      start = end + 1;
    }
    return names;
  }

  async readText(path: string): Promise<string | null> {
    const head = ["head", "-c", String(MAX_TEXT_BYTES + 1), "--", path] as const;
    const output = await nullIfMissing(this.#run(head, `read "${path}"`));
    if (output === null) return null;
    if (output.stdout.length <= MAX_TEXT_BYTES) return decodeText(output.stdout);
    throw new RangeError(`Cannot read "${path}": more than ${MAX_TEXT_BYTES} bytes`);
  }

  open(path: string): Promise<ByteSource> {
    return openRemoteFile(this.reach, path);
  }

  create(path: string): Promise<FileWriter> {
    return RemoteFileWriter.create(this.reach, path);
  }

  async link(existing: string, name: string): Promise<void> {
    await this.#run(["ln", "-T", "--", existing, name], `link "${name}"`);
    const parent = name.slice(0, name.lastIndexOf("/") + 1);
    await this.#run(["sync", "--", parent], `sync "${parent}"`);
  }

  async freeSpace(path: string): Promise<{ free: number; total: number }> {
    const text = await this.#text(
      ["stat", "-f", "-c", "%a %b %S", "--", path],
      `look at the space of "${path}"`,
    );
    const [free, total, block] = text.split(" ").map(Number);
    return { free: free! * block!, total: total! * block! };
  }

  async lock(path: string): Promise<{ release(): Promise<void> }> {
    const said: string[] = [];
    const lock = await RemoteProgram.start(this.reach, { text: LOCK_FILE, args: [path] }, (chunk) => {
      said.push(new TextDecoder().decode(chunk));
    });
    if (lock.greeting.word !== "ready") {
      await lock.release();
      throw fileError(`lock "${path}"`, said.join(""));
    }
    return {
      async release() {
        await lock.closeInput().catch(() => {});
        await lock.release();
      },
    };
  }

  async removeFile(path: string): Promise<void> {
    try {
      await this.#run(["rm", "-f", "--", path], `remove "${path}"`);
    } catch (error) {
      if (codeOf(error) !== "EISDIR") throw error;
      throw new TypeError(`Cannot remove "${path}": it is a directory`, { cause: error });
    }
  }

  async removeTree(path: string): Promise<void> {
    await this.#run(["rm", "-rf", "--", path], `remove "${path}"`);
  }

  async removeEmptyDir(path: string): Promise<boolean> {
    try {
      await this.#run(["rmdir", "--", path], `remove "${path}"`);
      return true;
    } catch (error) {
      if (["ENOTEMPTY", "EEXIST", "ENOENT", "ENOTDIR"].includes(codeOf(error))) return false;
      throw error;
    }
  }

  async #text(argv: Argv, action: string): Promise<string> {
    return new TextDecoder().decode((await this.#run(argv, action)).stdout).trim();
  }

  async #run(argv: Argv, action: string): Promise<Collected> {
    const output = await collect(argv, {}, (sinks) => startShort(this.reach, argv, "", sinks));
    if (output.status !== 0) throw fileError(action, output.logTail);
    return output;
  }
}

function utf8(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

async function nullIfMissing<T>(result: Promise<T>): Promise<T | null> {
  try {
    return await result;
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes(codeOf(error))) return null;
    throw error;
  }
}
