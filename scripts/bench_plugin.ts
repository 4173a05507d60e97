/**
 * Measures the plakar plugin through `plugdrive`, a client that drives any plugin as plakar does, beside the smallest
 * importer that plakar's Go SDK allows. Both tools may lie beside the project; without them there is nothing to do.
 */
import { buildSharedTool, hasSharedTool } from "../tests/plakar/tools.ts";
import { SimNode } from "../tests/pve/mod.ts";
import { print } from "./print.ts";

/** What plugdrive says at the end. */
interface Total {
  bytes: number;
  mb_per_s: number;
  cpu_s: number;
  peak_rss_plugin_mib: number;
  seconds: number;
}

const GIB = 1024 ** 3;

export interface PluginBench {
  binary: string;
  /** Directory on a fast filesystem. */
  dir: string;
  gib: number;
  rounds: number;
}

/** Prints throughput, CPU time, memory and first answers of the plugin, and ratios to the yardstick. */
export async function benchPlugin(bench: PluginBench): Promise<void> {
  if (!hasSharedTool("plugdrive") || !hasSharedTool("streamplug")) {
    print("plugin: not measured, plugdrive and streamplug are not beside the project");
    return;
  }
  const [plugdrive, streamplug] = [await buildSharedTool("plugdrive"), await buildSharedTool("streamplug")];
  await using node = await SimNode.create({
    dir: `${bench.dir}/plugin-node`,
    storages: [{ id: "void", type: "dir", discard: true, total: 1024 * GIB }],
    guests: [{ vmid: 101, disks: [{ key: "scsi0", size: `${bench.gib}G`, synthetic: true }] }],
  });
  const file = await dumpToFile(node, bench.dir);
  const drive = (args: string[]) => runDrive(plugdrive, args, node);
  const plugin = ["-location", "proxmox://", "-o", `dump_dir=${node.dumpDir}`];
  const ours = () => drive(["import", "-nosum", ...plugin, "-o", "vmid=101", "--", bench.binary, "importer"]);
  const yardstick = () =>
    drive(["import", "-nosum", "-location", "bench://x", "-o", `file=${file}`, "--", streamplug]);
  const slow = () =>
    drive([
      "import",
      "-nosum",
      "-slow",
      "200000000",
      ...plugin,
      "-o",
      "vmid=101",
      "--",
      bench.binary,
      "importer",
    ]);

  print(`\nplugin, ${bench.gib} GiB through plugdrive, ${bench.rounds} rounds, medians`);
  const [importer, sdk] = await inTurn(bench.rounds, ours, yardstick);
  tell("importer (simulated vzdump, structure check)", importer);
  tell("smallest importer of the Go SDK (cat FILE)", sdk);
  const ratio = importer.mb_per_s / sdk.mb_per_s;
  const cpu = (importer.cpu_s / importer.bytes) / (sdk.cpu_s / sdk.bytes);
  print(
    `  importer: ${ratio.toFixed(2)} times the throughput, ${cpu.toFixed(2)} times the CPU time per byte`,
  );
  tell("importer, reader held to 200 MB/s", await slow());

  const archive = `${bench.dir}/vzdump-qemu-101-2026_01_31-12_00_00.vma`;
  await Deno.rename(file, archive);
  const options = [...plugin, "-o", "newid=next", "-o", "storage=void"];
  const ourExport = () => drive(["export", ...options, archive, "--", bench.binary, "exporter"]);
  const byHand = () => restoreByHand(node, archive, bench.dir);
  const [exporter, shell] = await inTurn(bench.rounds, ourExport, byHand);
  tell("exporter (staged, checked, simulated qmrestore)", exporter);
  tell("cp archive; simulated qmrestore", shell);
  print(`  exporter: ${(exporter.mb_per_s / shell.mb_per_s).toFixed(2)} of the shell`);
  await Deno.remove(archive);
}

/** Runs two ways in turn; answers the run of median throughput of each. */
async function inTurn(rounds: number, ...ways: (() => Promise<Total>)[]): Promise<[Total, Total]> {
  const runs = ways.map((): Total[] => []);
  for (let round = 0; round < rounds; round++) {
    for (const [index, way] of ways.entries()) runs[index]?.push(await way());
  }
  const medians = runs.map((found) =>
    found.toSorted((a, b) => a.mb_per_s - b.mb_per_s)[Math.floor(found.length / 2)] as Total
  );
  return medians as [Total, Total];
}

function tell(what: string, { mb_per_s, cpu_s, bytes, peak_rss_plugin_mib }: Total): void {
  const cpu = cpu_s > 0 ? `, ${(cpu_s / (bytes / GIB)).toFixed(2)} CPU s/GiB` : "";
  const memory = peak_rss_plugin_mib > 0 ? `, ${peak_rss_plugin_mib.toFixed(0)} MiB resident` : "";
  print(`  ${what.padEnd(48)} ${mb_per_s.toFixed(0).padStart(5)} MB/s${cpu}${memory}`);
}

async function runDrive(plugdrive: string, args: string[], node: SimNode): Promise<Total> {
  const env = { PATH: node.path, XDG_STATE_HOME: `${node.dir}/state` };
  const { code, stdout } = await new Deno.Command(plugdrive, { args, env, stdin: "null", stderr: "null" })
    .output();
  const last = new TextDecoder().decode(stdout).trim().split("\n").at(-1) ?? "";
  if (code !== 0) throw new Error(`plugdrive ${args[0]} ended with status ${code}: ${last}`);
  return JSON.parse(last) as Total;
}

/** The guest's archive as a file, for the yardstick. */
async function dumpToFile(node: SimNode, dir: string): Promise<string> {
  const file = `${dir}/archive`;
  await shell(
    node,
    `vzdump 101 --stdout 1 --mode snapshot --compress 0 --dumpdir ${node.dumpDir} 2>/dev/null > ${file}`,
  );
  return file;
}

async function restoreByHand(node: SimNode, archive: string, dir: string): Promise<Total> {
  const staged = `${dir}/staged/${archive.split("/").at(-1)}`;
  await Deno.mkdir(`${dir}/staged`, { recursive: true });
  const begin = performance.now();
  await shell(node, `cat ${archive} > ${staged} && qmrestore ${staged} 900 --storage void >/dev/null`);
  const seconds = (performance.now() - begin) / 1000;
  await Deno.remove(`${dir}/staged`, { recursive: true });
  node.destroyGuest(900);
  const { size } = await Deno.stat(archive);
  return { bytes: size, seconds, mb_per_s: size / 1e6 / seconds, cpu_s: 0, peak_rss_plugin_mib: 0 };
}

async function shell(node: SimNode, script: string): Promise<void> {
  const command = new Deno.Command("sh", { args: ["-c", script], env: { PATH: node.path }, stdin: "null" });
  const { code } = await command.spawn().status;
  if (code !== 0) throw new Error(`"${script}" ended with status ${code}`);
}
