/**
 * Measures restores beside what a shell does with the same tools, in turn: a stream beside `cat archive | qmrestore -`,
 * a staged restore beside `cp` and the tool. Ours check the whole archive and its sha256 on the way.
 */
import { parseArgs } from "node:util";
import { SimNode } from "../tests/pve/mod.ts";
import { ensureBinary } from "./compile.ts";
import { print } from "./print.ts";

const GIB = 1024 ** 3;

export interface RestoreBench {
  binary: string;
  /** Directory on a fast filesystem; takes twice the archive. */
  dir: string;
  gib: number;
  rounds: number;
}

/** Prints the throughput of both kinds of restore, their ratios to the shell, and what a stream stages. */
export async function benchRestore({ binary, dir, gib, rounds }: RestoreBench): Promise<void> {
  await using node = await SimNode.create({
    dir: `${dir}/restore-node`,
    storages: [{ id: "void", type: "dir", discard: true, total: 1024 * GIB }],
    guests: [{ vmid: 101, disks: [{ key: "scsi0", size: `${gib}G`, synthetic: true }] }],
  });
  const store = `${dir}/restore-store`;
  const at = ["--dump-dir", node.dumpDir];
  await run(node, [binary, "backup", "--all", "--to", store, "--backup-compression", "0", ...at]);
  const archive = await archiveBelow(store);
  const { size } = await Deno.stat(archive);

  const staged = `${node.dumpDir}/${archive.slice(archive.lastIndexOf("/") + 1)}`;
  const restore = [binary, "restore", "--from", store, "--all", "--newid", "900", "--storage", "void", ...at];
  const shell = (script: string) => ["sh", "-c", `set -e; ${script}`];
  const ways: Record<string, string[]> = {
    "cat archive | qmrestore -": shell(`cat ${archive} | qmrestore - 900 --storage void >/dev/null`),
    "restore --restore-method stream": [...restore, "--restore-method", "stream"],
    "cp archive; qmrestore": shell(
      `cp ${archive} ${staged}; qmrestore ${staged} 900 --storage void >/dev/null; rm ${staged}`,
    ),
    "restore": restore,
  };
  const found = new Map<string, Run[]>();
  for (let round = 0; round < rounds; round++) {
    for (const [name, argv] of Object.entries(ways)) {
      found.set(name, [...found.get(name) ?? [], await run(node, argv)]);
      node.destroyGuest(900);
    }
  }
  const seconds = (name: string) => median((found.get(name) ?? []).map((one) => one.seconds));
  print(`\nrestore of ${gib} GiB, ${rounds} rounds, medians`);
  for (const name of Object.keys(ways)) {
    const most = Math.max(...(found.get(name) ?? []).map((one) => one.stagedBytes));
    const rate = (size / 1e6 / seconds(name)).toFixed(0).padStart(5);
    print(`  ${name.padEnd(34)} ${rate} MB/s, ${(most / 1024 ** 2).toFixed(1)} MiB staged at most`);
  }
  const stream = seconds("cat archive | qmrestore -") / seconds("restore --restore-method stream");
  const whole = seconds("restore") / seconds("cp archive; qmrestore");
  print(
    `  a stream reaches ${stream.toFixed(2)} of cat; a staged restore takes ${
      whole.toFixed(2)
    } times as long as cp`,
  );
  await Deno.remove(store, { recursive: true });
}

interface Run {
  seconds: number;
  /** Most bytes that stood in the dump directory meanwhile. */
  stagedBytes: number;
}

async function run(node: SimNode, [program = "", ...args]: string[]): Promise<Run> {
  const begin = performance.now();
  const env = { PATH: node.path, XDG_STATE_HOME: `${node.dir}/state` };
  const child = new Deno.Command(program, { args, env, stdin: "null", stdout: "null", stderr: "piped" })
    .spawn();
  let stagedBytes = 0;
  const watch = setInterval(async () => {
    stagedBytes = Math.max(stagedBytes, await bytesBelow(node.dumpDir));
  }, 50);
  const { code, stderr } = await child.output();
  clearInterval(watch);
  const said = new TextDecoder().decode(stderr);
  if (code !== 0) throw new Error(`"${program} ${args.join(" ")}" ended with status ${code}: ${said}`);
  return { seconds: (performance.now() - begin) / 1000, stagedBytes };
}

/** What goes away while it is looked at counts nothing. */
async function bytesBelow(dir: string): Promise<number> {
  let bytes = 0;
  try {
    for await (const { name, isDirectory } of Deno.readDir(dir)) {
      const path = `${dir}/${name}`;
      bytes += isDirectory ? await bytesBelow(path) : (await Deno.stat(path)).size;
    }
  } catch {
    return bytes;
  }
  return bytes;
}

async function archiveBelow(store: string): Promise<string> {
  for await (const snapshot of Deno.readDir(store)) {
    for await (const { name } of Deno.readDir(`${store}/${snapshot.name}`)) {
      if (name.endsWith(".vma")) return `${store}/${snapshot.name}/${name}`;
    }
  }
  throw new Error(`"${store}" holds no archive`);
}

function median(numbers: number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? NaN;
}

if (import.meta.main) {
  const { values } = parseArgs({
    args: Deno.args,
    options: { gib: { type: "string", default: "4" }, rounds: { type: "string", default: "3" } },
  });
  const dir = await Deno.makeTempDir({ dir: "/dev/shm", prefix: "plakar-proxmox-bench-" });
  try {
    const [gib, rounds] = [Number(values.gib), Number(values.rounds)];
    await benchRestore({ binary: await ensureBinary(), dir, gib, rounds });
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}
