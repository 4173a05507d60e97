/**
 * Measures `plakar backup` and `plakar restore` from end to end: with the plugin, with the smallest importer that
 * plakar's Go SDK allows, and into plain files. What plakar itself does with the bytes is the most of it.
 */
import { type Bed, makeBed } from "../tests/plakar/bed.ts";
import { buildSharedTool, hasSharedTool } from "../tests/plakar/tools.ts";
import { print } from "./print.ts";
import { ROOT } from "./run.ts";

const GUEST = 101;

/** Prints seconds and ratios for one guest of `gib` GiB; `dir` is on a fast filesystem. */
export async function benchPlakar(
  { dir, gib, rounds }: { dir: string; gib: number; rounds: number },
): Promise<void> {
  if (!hasSharedTool("streamplug")) {
    print("plakar: not measured, streamplug is not beside the project");
    return;
  }
  await using bed = await makeBed({
    storages: [{ id: "void", type: "dir", discard: true, total: 2 ** 40 }],
    guests: [{ vmid: GUEST, disks: [{ key: "scsi0", size: `${gib}G`, synthetic: true }] }],
  }, dir);
  await addYardstick(bed, await archiveOf(bed));

  const times = { ours: [] as number[], sdk: [] as number[], guest: [] as number[], files: [] as number[] };
  for (let round = 0; round < rounds; round++) {
    times.sdk.push(await inFreshStore(bed, "sdk", ["backup", "@bench"], () => Promise.resolve()));
    const backup = ["backup", "-o", `vmid=${GUEST}`, "@pve"];
    times.ours.push(
      await inFreshStore(bed, "ours", backup, async (at) => {
        const snapshot = (await at("ls")).trim().split(/\s+/)[1] as string;
        const options = ["newid=next", "storage=void"].flatMap((option) => ["-o", option]);
        times.guest.push(await timed(() => at("restore", ...options, "-to", "@pve", snapshot)));
        times.files.push(await timed(() => at("restore", "-to", `${bed.dir}/files`, snapshot)));
        await Deno.remove(`${bed.dir}/files`, { recursive: true });
      }),
    );
  }
  tell(gib, times);
}

/** The guest's archive as a file. */
async function archiveOf(bed: Bed): Promise<string> {
  const file = `${bed.dir}/archive`;
  const dump =
    `vzdump ${GUEST} --stdout 1 --mode snapshot --compress 0 --dumpdir ${bed.node.dumpDir} 2>/dev/null >${file}`;
  const child = new Deno.Command("sh", { args: ["-c", dump], env: { PATH: bed.node.path }, stdin: "null" });
  if (!(await child.output()).success) throw new Error("the guest could not be dumped");
  return file;
}

async function addYardstick(bed: Bed, file: string): Promise<void> {
  const sources = `${ROOT}/../shared/tools/streamplug`;
  const dir = `${bed.dir}/streamplug`;
  await Deno.mkdir(dir);
  for (const name of ["manifest.yaml", "schema.json"]) {
    await Deno.copyFile(`${sources}/${name}`, `${dir}/${name}`);
  }
  await Deno.copyFile(await buildSharedTool("streamplug"), `${dir}/streamplug`);
  await must(bed.plakar("pkg", "create", `${dir}/manifest.yaml`, "v0.0.1"));
  const made = (await Array.fromAsync(Deno.readDir(bed.dir))).find(({ name }) => name.endsWith(".ptar"));
  await must(bed.plakar("pkg", "add", `./${made?.name}`));
  await must(bed.plakar("source", "add", "bench", "bench://x", `file=${file}`));
}

type At = (...args: string[]) => Promise<string>;

/** Seconds of one backup into a store that holds nothing yet; `then` works with what it has stored. */
async function inFreshStore(
  bed: Bed,
  name: string,
  backup: string[],
  then: (at: At) => Promise<void>,
): Promise<number> {
  const store = `${bed.dir}/store-${name}`;
  const at: At = (...args) => must(bed.plakar("at", store, ...args));
  await at("create", "-plaintext");
  const seconds = await timed(() => at(...backup));
  await then(at);
  await Deno.remove(store, { recursive: true });
  return seconds;
}

/** What plakar printed; it must have gone well. */
async function must(finished: ReturnType<Bed["plakar"]>): Promise<string> {
  const { status, stderr, text } = await finished;
  // Where it cannot keep its socket, it says so, does nothing, and ends with 0.
  if (status !== 0 || /failed to run/.test(text + stderr)) {
    throw new Error(`plakar ended with status ${status}: ${stderr}${text}`);
  }
  return text;
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const begin = performance.now();
  await work();
  return (performance.now() - begin) / 1000;
}

function tell(gib: number, times: Record<"ours" | "sdk" | "guest" | "files", number[]>): void {
  const median = (seconds: number[]) => seconds.toSorted((a, b) => a - b)[seconds.length >> 1] ?? NaN;
  const { ours, sdk, guest, files } = times;
  const line = (what: string, seconds: number[]) =>
    print(`  ${what.padEnd(48)} ${median(seconds).toFixed(1).padStart(6)} s`);
  print(`\nplakar, ${gib} GiB, ${ours.length} rounds, medians`);
  line("plakar backup, this plugin", ours);
  line("plakar backup, smallest importer of the Go SDK", sdk);
  print(`  backup: ${(median(sdk) / median(ours)).toFixed(2)} times as fast as the smallest importer`);
  line("plakar restore to the node (simulated qmrestore)", guest);
  line("plakar restore -to DIR", files);
  print(`  restore: ${(median(files) / median(guest)).toFixed(2)} of the speed into plain files`);
}
