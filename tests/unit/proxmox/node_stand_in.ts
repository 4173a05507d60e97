import type { ByteSource } from "../../../src/core/bytes.ts";
import { commandFailed, commandNotStarted } from "../../../src/runner/command_error.ts";
import type {
  Argv,
  CommandEnd,
  CommandError,
  CommandOutput,
  FilterProcess,
  JobOptions,
  JobSink,
  JobSource,
  NodeFiles,
  Runner,
} from "../../../src/runner/runner.ts";
import type { ProxmoxNode } from "../../../src/proxmox/cluster.ts";
import { parseRelease } from "../../../src/proxmox/release.ts";

/** What a stand-in's command says on stdout, or the error that it ends with. */
export type Answer = string | Error;

/** What a test lets a node do; all else is an error. */
export interface NodeScript {
  run?: (argv: Argv, call: number) => Answer;
  read?: (argv: Argv, options: JobOptions) => ByteSource & { logTail?: () => string };
  finish?: (argv: Argv, options: JobOptions & { stop?: AbortSignal }) => CommandEnd | Promise<CommandEnd>;
  files?: Partial<NodeFiles>;
}

/** A node that answers canned texts and keeps what it was asked. */
export class StandInRunner implements Runner {
  readonly label = "the test node";
  readonly calls: Argv[] = [];
  readonly files: NodeFiles;

  constructor(private readonly script: NodeScript) {
    this.files = new Proxy({ ...script.files } as NodeFiles, {
      get: (files, name) =>
        Reflect.get(files, name) ??
          (() => Promise.reject(new Error(`the test has no files.${String(name)}`))),
    });
  }

  hasTool(): Promise<boolean> {
    return Promise.resolve(true);
  }

  async run(argv: Argv): Promise<CommandOutput> {
    await Promise.resolve();
    const stdout = this.#called("run", argv)(argv, this.calls.length);
    if (stdout instanceof Error) throw stdout;
    return { status: 0, logTail: "", stdout, stderr: "" };
  }

  async read(argv: Argv, options: JobOptions): Promise<JobSource> {
    await Promise.resolve();
    const source = this.#called("read", argv)(argv, options);
    return {
      read: (view) => source.read(view),
      cancel: (reason) => source.cancel(reason),
      logTail: () => source.logTail?.() ?? "",
    };
  }

  async finish(argv: Argv, options: JobOptions & { stop?: AbortSignal }): Promise<CommandEnd> {
    await Promise.resolve();
    return await this.#called("finish", argv)(argv, options);
  }

  feed(): Promise<JobSink> {
    return Promise.reject(new Error("the test feeds nothing"));
  }

  guardDir(): Promise<{ release(): Promise<void> }> {
    return Promise.resolve({ release: () => Promise.resolve() });
  }

  filter(): Promise<FilterProcess> {
    return Promise.reject(new Error("the test has no filters"));
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #called<Way extends "run" | "read" | "finish">(way: Way, argv: Argv): NonNullable<NodeScript[Way]> {
    this.calls.push(argv);
    const script = this.script[way];
    if (!script) throw new Error(`the test has no ${way} for ${argv.join(" ")}`);
    return script;
  }
}

/** A node of this name behind a stand-in. */
export function standInNode(
  script: NodeScript,
  release = "8.4.1",
): ProxmoxNode & { runner: StandInRunner } {
  const nodes = [{ name: "pve1", online: true }];
  return { runner: new StandInRunner(script), name: "pve1", release: parseRelease(release), nodes };
}

/** Answers `pvesh get PATH` by its path, everything else by the whole command line. */
export function byPath(answers: Readonly<Record<string, Answer>>): (argv: Argv) => Answer {
  return (argv) => {
    const key = argv[0] === "pvesh" ? argv[2] ?? "" : argv.join(" ");
    return answers[key] ?? new Error(`the test has no answer for ${key}`);
  };
}

/** How a command ends that exits with `status` after saying `said`. */
export function exits(status: number, said: string, argv: Argv = ["qm"]): CommandError {
  return commandFailed(argv, { status, logTail: said });
}

export function notInstalled(program: string): CommandError {
  return commandNotStarted([program], "not-found", "it is not installed");
}
