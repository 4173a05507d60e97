/**
 * Measures backups and restores of a node behind a real sshd on this machine, by both transports, beside what the
 * system's ssh does with the same bytes and beside the way of a dump in a file that is fetched afterwards.
 */
import { SshBed } from "../tests/ssh/bed.ts";
import { print } from "./print.ts";

const GUEST = 101;
const MIB = 1024 * 1024;

interface Run {
  seconds: number;
  /** Highest resident memory of the program, MiB. */
  peakMib: number;
}

type Way = () => Promise<Run>;

/** Prints rates and ratios for one guest of `gib` GiB; `dir` is on a fast filesystem. */
export async function benchSsh(
  { binary, dir, gib, rounds }: { binary: string; dir: string; gib: number; rounds: number },
): Promise<void> {
  Deno.env.set("TMPDIR", dir); // where the bed is made
  await using bed = await SshBed.create({
    storages: [{ id: "void", type: "dir", discard: true, total: 2 ** 40 }],
    guests: [{ vmid: GUEST, disks: [{ key: "scsi0", size: `${gib}G`, synthetic: true }] }],
  });
  const ssh = `ssh -o BatchMode=yes -o UserKnownHostsFile=${bed.knownHosts} -i ${bed.identityFile} ` +
    `-p ${bed.port} root@${bed.nodes[0]?.address}`;
  const file = `${dir}/vzdump-qemu-101-2026_01_31-12_00_00.vma`;
  const dump = `vzdump ${GUEST} --stdout 1 --mode snapshot --compress 0 --dumpdir ${bed.sim.dumpDir}`;
  await run(["sh", "-c", `${ssh} '${dump} 2>/dev/null' >${file}`]);

  const ours = (command: string[], transport: string) =>
    run([binary, ...command, ...bed.flags(), "--ssh-transport", transport, "--dump-dir", bed.sim.dumpDir], {
      XDG_STATE_HOME: `${dir}/state`,
    });
  const backUp = (transport: string): Way => async () => {
    const select = ["--vmid", String(GUEST), "--backup-compression", "0", "--to", `${dir}/store`];
    const done = await ours(["backup", ...select], transport);
    await Deno.remove(`${dir}/store`, { recursive: true });
    return done;
  };
  const restore = (transport: string): Way => () =>
    ours(["restore", "--from", file, "--all", "--newid", "next", "--storage", "void"], transport);
  const shell = (script: string): Way => () => run(["sh", "-c", script]);
  const staged = `${bed.sim.dumpDir}/staged`;
  const stagedFile = `${staged}/${file.split("/").at(-1)}`;

  await compare(`\nover SSH, ${gib} GiB, ${rounds} rounds, medians: backup`, gib, rounds, {
    "ssh NODE cat FILE > file": shell(`${ssh} cat ${file} >${dir}/copy; rm ${dir}/copy`),
    "ssh NODE vzdump > file": shell(`${ssh} '${dump} 2>/dev/null' >${dir}/copy; rm ${dir}/copy`),
    "dump on the node, then ssh NODE cat": shell(
      `${ssh} 'mkdir ${staged}; ${dump} 2>/dev/null >${stagedFile}' && ${ssh} cat ${stagedFile} >${dir}/copy; ` +
        `${ssh} rm -r ${staged}; rm ${dir}/copy`,
    ),
    "backup --to, builtin": backUp("builtin"),
    "backup --to, openssh": backUp("openssh"),
  });
  const byHand = `mkdir ${staged} && cat >${stagedFile} && qmrestore ${stagedFile} 900 --storage void`;
  await compare("restore", gib, rounds, {
    "ssh NODE 'cat > staged; qmrestore'": async () => {
      const done = await run(["sh", "-c", `${ssh} '${byHand}' <${file}; ${ssh} rm -r ${staged}`]);
      bed.sim.destroyGuest(900);
      return done;
    },
    "restore --from, builtin": restore("builtin"),
    "restore --from, openssh": restore("openssh"),
  });
}

/** Runs the ways in turn; the first one is what the others are measured by. */
async function compare(title: string, gib: number, rounds: number, ways: Record<string, Way>): Promise<void> {
  const found = new Map<string, Run[]>(Object.keys(ways).map((name) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const [name, way] of Object.entries(ways)) found.get(name)?.push(await way());
  }
  const median = (name: string) => {
    const runs = (found.get(name) ?? []).toSorted((a, b) => a.seconds - b.seconds);
    return runs[runs.length >> 1] as Run;
  };
  const [yardstick] = Object.keys(ways) as [string];
  print(title);
  for (const name of Object.keys(ways)) {
    const { seconds, peakMib } = median(name);
    const rate = (gib * 1024 * MIB / 1e6 / seconds).toFixed(0).padStart(5);
    const ratio = (median(yardstick).seconds / seconds).toFixed(2);
    const memory = peakMib > 20 ? `, ${peakMib.toFixed(0)} MiB resident` : "";
    print(`  ${name.padEnd(38)} ${rate} MB/s  ${ratio} of the first${memory}`);
  }
}

async function run([program, ...args]: string[], env: Record<string, string> = {}): Promise<Run> {
  const begin = performance.now();
  const command = new Deno.Command(program as string, {
    args,
    env,
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  });
  const child = command.spawn();
  const said = new Response(child.stderr).text();
  let peakMib = 0;
  const watch = setInterval(async () => {
    const status = await Deno.readTextFile(`/proc/${child.pid}/status`).catch(() => "");
    peakMib = Math.max(peakMib, Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1] ?? 0) / 1024);
  }, 50);
  const { code } = await child.status;
  clearInterval(watch);
  if (code !== 0) throw new Error(`"${program} ${args.join(" ")}" ended with status ${code}: ${await said}`);
  return { seconds: (performance.now() - begin) / 1000, peakMib };
}
