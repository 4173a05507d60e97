/**
 * Measures the binary beside what a shell does with the same tools, in turn and several times in one run, and
 * prints medians and ratios: this tells more than seconds, which depend on the machine and its other work.
 * Usage: deno task bench [--gib=4] [--rounds=3]
 */
import { dirname } from "node:path";
import { parseArgs } from "node:util";
import { SimNode } from "../tests/pve/mod.ts";
import { ensureBinary } from "./compile.ts";
import { benchPlakar } from "./bench_plakar.ts";
import { benchPlugin } from "./bench_plugin.ts";
import { benchRestore } from "./bench_restore.ts";
import { print } from "./print.ts";

/** One measured command. */
interface Run {
  seconds: number;
  /** Highest resident memory of the command itself, MiB; without its children. */
  peakMib: number;
}

const MIB = 1024 * 1024;

async function main(): Promise<void> {
  const { values } = parseArgs({
    args: Deno.args,
    options: { gib: { type: "string", default: "4" }, rounds: { type: "string", default: "3" } },
  });
  const [gib, rounds] = [Number(values.gib), Number(values.rounds)];
  const binary = await ensureBinary();
  const dir = await Deno.makeTempDir({ ...await tmpfs(), prefix: "plakar-proxmox-bench-" });
  try {
    await using node = await SimNode.create({
      dir: `${dir}/node`,
      guests: [1, gib, 8].map((size, index) => ({
        vmid: 101 + index,
        disks: [{ key: "scsi0", size: `${size}G`, synthetic: true }],
      })),
    });
    print(`Files in ${dir}, ${navigator.hardwareConcurrency} cores, ${rounds} rounds, medians\n`);
    await start(binary);
    await throughput({ binary, node, dir, gib, rounds });
    await memory({ binary, node, dir });
    await benchRestore({ binary, dir, gib, rounds });
    await benchPlugin({ binary, dir, gib: Math.min(gib, 2), rounds });
    // plakar keeps a socket below, and paths of sockets have at most 107 bytes (unix(7)): not one directory deeper.
    await benchPlakar({ dir: dirname(dir), gib: 1, rounds });
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

/** A directory in memory, so that no disk is measured. */
async function tmpfs(): Promise<{ dir?: string }> {
  const isThere = await Deno.stat("/dev/shm").then((entry) => entry.isDirectory, () => false);
  if (!isThere) print("No /dev/shm here: the figures will be those of the disk");
  return isThere ? { dir: "/dev/shm" } : {};
}

async function start(binary: string): Promise<void> {
  const { size } = await Deno.stat(binary);
  const runs: number[] = [];
  for (let round = 0; round < 20; round++) runs.push((await measure([binary, "version"])).seconds);
  print(
    `binary ${(size / MIB).toFixed(1)} MiB, version in ${
      (median(runs) * 1000).toFixed(0)
    } ms (median of 20)\n`,
  );
}

interface Bench {
  binary: string;
  node: SimNode;
  dir: string;
}

async function throughput(bench: Bench & { gib: number; rounds: number }): Promise<void> {
  const { node, dir, gib, rounds } = bench;
  const env = { PATH: node.path };
  const dump = `vzdump 102 --stdout 1 --mode snapshot --compress 0 --dumpdir ${node.dumpDir} 2>/dev/null`;
  const ways: Record<string, () => Promise<Run>> = {
    "vzdump > file": () => measure(["sh", "-c", `${dump} > ${dir}/dump`], env),
    "vzdump | tee file | sha256sum": () =>
      measure(["sh", "-c", `${dump} | tee ${dir}/dump | sha256sum`], env),
    "backup --to": () => backUp(bench, 102),
  };
  const found = new Map<string, Run[]>();
  for (let round = 0; round < rounds; round++) {
    for (const [name, run] of Object.entries(ways)) {
      found.set(name, [...found.get(name) ?? [], await run()]);
      await Deno.remove(`${dir}/dump`).catch(() => {});
    }
  }
  const seconds = (name: string) => median((found.get(name) ?? []).map((run) => run.seconds));
  print(`${gib} GiB, uncompressed, one disk without zeros`);
  for (const name of Object.keys(ways)) {
    const ratio = seconds("vzdump > file") / seconds(name);
    const rate = (gib * 1024 * MIB / 1e6 / seconds(name)).toFixed(0).padStart(5);
    print(`  ${name.padEnd(30)} ${rate} MB/s  ${ratio.toFixed(2)} of "vzdump > file"`);
  }
  const gain = seconds("vzdump | tee file | sha256sum") / seconds("backup --to");
  print(`  backup --to is ${gain.toFixed(2)} times as fast as "vzdump | tee file | sha256sum"\n`);
}

async function memory(bench: Bench): Promise<void> {
  for (const [vmid, size] of [[101, 1], [103, 8]] as const) {
    const { peakMib } = await backUp(bench, vmid);
    print(`backup of ${size} GiB: at most ${peakMib.toFixed(0)} MiB resident`);
  }
}

async function backUp({ binary, node, dir }: Bench, vmid: number): Promise<Run> {
  const store = `${dir}/store`;
  const flags = [
    "--vmid",
    String(vmid),
    "--to",
    store,
    "--dump-dir",
    node.dumpDir,
    "--backup-compression",
    "0",
  ];
  const run = await measure([binary, "backup", ...flags], { PATH: node.path });
  await Deno.remove(store, { recursive: true });
  return run;
}

async function measure(
  [program, ...args]: [string, ...string[]],
  env: Record<string, string> = {},
): Promise<Run> {
  const begin = performance.now();
  const child = new Deno.Command(program, { args, env, stdin: "null", stdout: "null", stderr: "null" })
    .spawn();
  let peakMib = 0;
  const watch = setInterval(async () => {
    const status = await Deno.readTextFile(`/proc/${child.pid}/status`).catch(() => "");
    peakMib = Math.max(peakMib, Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1] ?? 0) / 1024);
  }, 50);
  const { code } = await child.status;
  clearInterval(watch);
  if (code !== 0) throw new Error(`"${program} ${args.join(" ")}" ended with status ${code}`);
  return { seconds: (performance.now() - begin) / 1000, peakMib };
}

function median(numbers: number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? NaN;
}

if (import.meta.main) await main();
