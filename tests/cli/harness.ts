/** Runs the compiled binary against a simulated node, as a user would. */
import { ensureBinary } from "../../scripts/compile.ts";
import { SimNode, type SimOptions } from "../pve/mod.ts";

/** What a finished run left behind. */
export interface Finished {
  /** Exit status; 128 + signal number when a signal ended it. */
  status: number;
  stdout: string;
  stderr: string;
  /** The lines of stdout as JSON objects, for `--json`. */
  // deno-lint-ignore no-explicit-any -- a test looks at what it expects
  json: any[];
}

/** A run that has not ended yet. */
export interface Running {
  child: Deno.ChildProcess;
  finished: Promise<Finished>;
}

/** A simulated node, a store beside it, and the binary. */
export interface Bed extends AsyncDisposable {
  node: SimNode;
  /** Path of the compiled binary, and the environment it gets. */
  binary: string;
  env: Record<string, string>;
  /** Directory for snapshots; does not exist yet. */
  store: string;
  /** Runs `plakar-proxmox ARGS`; backup and restore get `--dump-dir`. */
  run(args: string[], env?: Record<string, string>): Promise<Finished>;
  /** `program`: another one than the binary, such as one that starts it under conditions of its own. */
  start(args: string[], env?: Record<string, string>, program?: string): Promise<Running>;
  /** What stands in the node's dump directory. */
  leftovers(): string[];
  /** The only snapshot in the store: its path and the names in it. */
  snapshot(): { path: string; names: string[] };
  /** A parsed document of the only snapshot. */
  // deno-lint-ignore no-explicit-any -- a test looks at what it expects
  document(name: "manifest.json" | "report.json"): any;
}

/** Makes a test bed in a temporary directory. */
export async function makeBed(options: SimOptions = {}): Promise<Bed> {
  const binary = await ensureBinary();
  const dir = await Deno.makeTempDir({ prefix: "plakar-proxmox-test-" });
  const node = await SimNode.create({ ...options, dir: `${dir}/node` });
  const store = `${dir}/store`;
  const bedEnv = { PATH: node.path, XDG_STATE_HOME: `${dir}/state` };
  const start = (args: string[], env: Record<string, string> = {}, program = binary): Promise<Running> => {
    const needsDumpDir = ["backup", "restore"].includes(args[0] ?? "") && !args.includes("--dump-dir");
    const child = new Deno.Command(program, {
      args: needsDumpDir ? [...args, "--dump-dir", node.dumpDir] : args,
      env: { ...bedEnv, ...env },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    return Promise.resolve({ child, finished: collect(child) });
  };
  const snapshot = () => {
    const [entry, ...others] = Deno.readDirSync(store);
    if (!entry || others.length > 0) throw new Error(`"${store}" does not hold just one snapshot`);
    const path = `${store}/${entry.name}`;
    return { path, names: [...Deno.readDirSync(path)].map(({ name }) => name).sort() };
  };
  return {
    node,
    binary,
    env: bedEnv,
    store,
    start,
    run: async (args, env) => await (await start(args, env)).finished,
    leftovers: () => [...Deno.readDirSync(node.dumpDir)].map(({ name }) => name),
    snapshot,
    document: (name) => JSON.parse(Deno.readTextFileSync(`${snapshot().path}/${name}`)),
    async [Symbol.asyncDispose]() {
      await node.dispose();
      await Deno.remove(dir, { recursive: true });
    },
  };
}

async function collect(child: Deno.ChildProcess): Promise<Finished> {
  const output = await child.output();
  const [stdout = "", stderr = ""] = [output.stdout, output.stderr].map((bytes) =>
    new TextDecoder().decode(bytes)
  );
  return {
    status: output.code,
    stdout,
    stderr,
    get json() {
      return stdout.trim().split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));
    },
  };
}
