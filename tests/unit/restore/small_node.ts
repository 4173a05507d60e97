import type { ProxmoxNode } from "../../../src/proxmox/cluster.ts";
import { LocalFiles } from "../../../src/runner/local_files.ts";
import type { Argv, CommandEnd } from "../../../src/runner/runner.ts";
import { type Answer, exits, standInNode } from "../proxmox/node_stand_in.ts";

/** A VM on the small node; the text is its configuration file. */
export interface SmallVm {
  status: string;
  config: string;
  node?: string;
}

/** A node with a few VMs that can be stopped, started, removed and restored over, all in memory. */
export class SmallNode {
  readonly vms = new Map<number, SmallVm>();
  /** What was done, in order: commands that change something, and what a test adds. */
  readonly done: string[] = [];
  /** What qmrestore does and how it ends; by default it restores a VM with the disk scsi0. */
  restoreTool: (vmid: number) => CommandEnd = (vmid) => {
    this.vms.set(vmid, { status: "stopped", config: "name: web\nscsi0: fast:vm-101-disk-0,size=64K\n" });
    return { status: 0, logTail: "progress 100% (read 65536 bytes, duration 0 sec)\nrescan volumes..." };
  };
  /** Errors of commands by name: `start`, `shutdown`, `resources`. */
  readonly failing = new Map<string, Error>();
  readonly node: ProxmoxNode;

  constructor() {
    const local = new LocalFiles();
    this.node = standInNode({
      run: (argv) => this.#run(argv),
      finish: (argv) => {
        this.done.push(argv.filter((word) => !word.startsWith("/")).join(" "));
        return this.restoreTool(Number(argv[2]));
      },
      files: {
        makeDir: (path, mode) => local.makeDir(path, mode),
        lock: (path) => local.lock(path),
        stat: (path) => local.stat(path),
        create: (path) => local.create(path),
        removeTree: (path) => local.removeTree(path),
        removeFile: (path) => local.removeFile(path),
        freeSpace: () => Promise.resolve({ free: 90 * 1024 ** 3, total: 100 * 1024 ** 3 }),
        readText: (path) => Promise.resolve(this.#configFile(path)),
      },
    });
  }

  #configFile(path: string): string | null {
    const vmid = Number(/\/qemu-server\/(\d+)\.conf$/.exec(path)?.[1]);
    return this.vms.get(vmid)?.config ?? null;
  }

  #run([tool, command = "", word = ""]: Argv): Answer {
    if (tool === "pvesh") return this.failing.get("resources") ?? this.#ask(word);
    const vm = this.vms.get(Number(word));
    if (!vm) return exits(2, `Configuration file 'nodes/pve1/qemu-server/${word}.conf' does not exist`);
    if (command === "status") return `status: ${vm.status}\n`;
    this.done.push(`${tool} ${command} ${word}`);
    const error = this.failing.get(command);
    if (error) return error;
    if (command === "start") vm.status = "running";
    if (command === "stop" || command === "shutdown") vm.status = "stopped";
    if (command === "destroy") this.vms.delete(Number(word));
    return "";
  }

  #ask(path: string): Answer {
    if (path !== "/cluster/resources") return "[]";
    const answer = [...this.vms].map(([vmid, { status, node = "pve1" }]) => ({
      vmid,
      type: "qemu",
      node,
      status,
    }));
    return JSON.stringify(answer);
  }
}
