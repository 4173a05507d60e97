/** `deno run -A tests/pve/shell.ts`: a shell on a simulated node with two VMs and a container. */
import { type GuestSpec, SimNode } from "./mod.ts";

const GUESTS: GuestSpec[] = [
  {
    vmid: 101,
    name: "web",
    tags: ["prod"],
    disks: [{ key: "scsi0", size: "32M" }, { key: "scsi1", size: "8M" }],
  },
  { vmid: 102, name: "db", status: "stopped", firewall: "[OPTIONS]\nenable: 1\n" },
  { vmid: 105, kind: "lxc", name: "mail" },
];

await using node = await SimNode.create({ release: Deno.args[0] ?? "8.4", guests: GUESTS });
const env = { PATH: node.path, PVE_SIM_ALLOW_TTY: "1", PS1: `${node.name}# ` };
const help = [
  `Simulated Proxmox VE ${Deno.args[0] ?? "8.4"}, node ${node.name}: VMs 101 and 102, container 105.`,
  `  PATH=${node.bin}:$PATH PVE_SIM_ALLOW_TTY=1`,
  `  try: qm list; vzdump 101 --dumpdir ${node.dumpDir}; ls ${node.dumpDir}`,
  "  Leaving this shell removes everything.",
  "",
].join("\n");
await Deno.stderr.write(new TextEncoder().encode(help));
await new Deno.Command("sh", { env, stdin: "inherit", stdout: "inherit", stderr: "inherit" }).spawn().status;
