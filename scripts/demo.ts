/**
 * Shows the main job end to end, on a simulated Proxmox node in a temporary directory and with the compiled
 * binary: guests, backup, list, verify, the guests destroyed, restore, every disk compared with the original.
 */
import { onPath } from "../tests/needs.ts";
import { SimNode } from "../tests/pve/mod.ts";
import { ensureBinary } from "./compile.ts";
import { print } from "./print.ts";

/** Disks of the demo's guests, by vmid. */
const DISKS: Readonly<Record<number, readonly string[]>> = {
  101: ["scsi0", "scsi1"],
  102: ["scsi0"],
  105: ["rootfs"],
};

interface Place {
  binary: string;
  node: SimNode;
  store: string;
}

async function main(): Promise<number> {
  const binary = await ensureBinary();
  const dir = await Deno.makeTempDir({ prefix: "plakar-proxmox-demo-" });
  try {
    await using node = await startNode(`${dir}/node`);
    return await show({ binary, node, store: `${dir}/store` }) ? 0 : 1;
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

async function startNode(dir: string): Promise<SimNode> {
  print(`Starting a simulated Proxmox VE 8.4 node "pve1" in ${dir}\n`);
  return await SimNode.create({
    dir,
    guests: [
      { vmid: 101, name: "web", disks: [{ key: "scsi0", size: "64M" }, { key: "scsi1", size: "9M" }] },
      { vmid: 102, name: "db", status: "stopped", disks: [{ key: "scsi0", size: "32M" }] },
      { vmid: 105, kind: "lxc", name: "mail" },
    ],
  });
}

async function show(place: Place): Promise<boolean> {
  const { node, store } = place;
  const before = digests(node);

  await call(place, ["guests", "--all"]);
  // Without zstd on this machine there is still gzip, which every system has.
  const compression = onPath("zstd") ? [] : ["--backup-compression", "gzip"];
  await call(place, ["backup", "--all", "--to", store, ...compression]);
  await call(place, ["list", "--from", store]);
  await call(place, ["verify", "--from", store]);

  print("Destroying the guests on the node\n");
  for (const vmid of Object.keys(DISKS)) node.destroyGuest(Number(vmid));
  await call(place, ["restore", "--from", store, "--all", "--dry-run"]);
  await call(place, ["restore", "--from", store, "--all", "--start", "always"]);

  const after = digests(node);
  print("GUEST  DISK    RESTORED");
  let allSame = true;
  for (const [disk, digest] of before) {
    const isSame = after.get(disk) === digest;
    allSame &&= isSame;
    const [vmid = "", key = ""] = disk.split(" ");
    print(
      `${vmid.padEnd(6)} ${key.padEnd(7)} ${isSame ? "identical" : "DIFFERENT"}`,
    );
  }
  const left = await Array.fromAsync(Deno.readDir(node.dumpDir), (entry) => entry.name);
  if (left.length > 0) print(`LEFT BEHIND in the dump directory: ${left.join(", ")}`);
  print(allSame ? "\nEvery disk is identical to the original." : "\nDisks differ.");
  return allSame && left.length === 0;
}

function digests(node: SimNode): Map<string, string> {
  const found = new Map<string, string>();
  for (const [vmid, keys] of Object.entries(DISKS)) {
    for (const key of keys) found.set(`${vmid} ${key}`, node.sha256(Number(vmid), key));
  }
  return found;
}

/** Runs the binary as a user would, and ends the demo when it fails. */
async function call({ binary, node }: Place, args: string[]): Promise<void> {
  const flags = args[0] === "backup" || args[0] === "restore" ? [...args, "--dump-dir", node.dumpDir] : args;
  print(`$ plakar-proxmox ${flags.join(" ")}`);
  const env = { PATH: node.path, XDG_STATE_HOME: `${node.dir}/state` };
  const { code } = await new Deno.Command(binary, { args: flags, env, stdin: "null" }).spawn().status;
  print("");
  if (code !== 0) throw new Error(`plakar-proxmox ${args[0]} ended with status ${code}`);
}

if (import.meta.main) {
  const status = await main().catch((error) => {
    print(`The demo failed: ${error instanceof Error ? error.message : error}`);
    return 1;
  });
  Deno.exit(status);
}
