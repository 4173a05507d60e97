/** Tasks of qm and pct: start, stop, shutdown, destroy, clone, disk move, agent. */
import { configValue, isTrue } from "./config.ts";
import { checkLock, labelOf, localGuest } from "./guest_lookup.ts";
import { isManaged, queueStop, setRequestedState } from "./ha.ts";
import { faultsOf, type GuestKind, type GuestState, readState, updateState } from "./state.ts";
import { freeVolume } from "./storage.ts";
import type { Job } from "./worker.ts";

export interface GuestTask {
  kind: GuestKind;
  name: string;
  options: Record<string, string>;
}

const DEFAULT_SHUTDOWN_SECONDS = 60;

/** One task on one guest. */
class GuestAction {
  constructor(readonly job: Job, readonly task: GuestTask, readonly vmid: number) {}

  get label(): string {
    return `${labelOf(this.task.kind)} ${this.vmid}`;
  }

  flag(name: string): boolean {
    return this.task.options[name] === "1";
  }

  change<T>(change: (guest: GuestState) => T): T {
    return updateState(
      this.job.dir,
      (state) => change(localGuest(state, this.job.node, this.task.kind, this.vmid)),
    );
  }

  look(): GuestState {
    return localGuest(readState(this.job.dir), this.job.node, this.task.kind, this.vmid);
  }

  get faults() {
    return faultsOf(readState(this.job.dir), this.vmid);
  }

  /** A guest under high availability: the wish is filed, the manager carries it out later. */
  requestHa(wish: "start" | { stopIn: number }): boolean {
    if (!isManaged(this.look())) return false;
    this.job.print(`Requesting HA ${wish === "start" ? "start" : "stop"} for ${this.label}`);
    updateState(this.job.dir, (state) => {
      const guest = localGuest(state, this.job.node, this.task.kind, this.vmid);
      if (wish === "start") setRequestedState(state, guest, "started");
      else queueStop(state, guest, wish.stopIn);
    });
    return true;
  }
}

async function start(action: GuestAction): Promise<void> {
  const guest = action.look();
  const { job, vmid, task, faults } = action;
  if (isTrue(configValue(guest.config, "template"))) {
    throw new Error(
      task.kind === "qemu"
        ? "you can't start a vm if it's a template"
        : "you can't start a CT if it's a template",
    );
  }
  if (action.requestHa("start")) return;
  // A VM that was started only for its backup is resumed, although it is locked.
  const forBackup = guest.status === "prelaunch" && configValue(guest.config, "lock") === "backup";
  if (!forBackup && !action.flag("skiplock")) checkLock(guest);
  if (!forBackup && guest.status !== "stopped") throw new Error(`VM ${vmid} already running`);
  if (faults.startFails !== undefined) throw new Error(faults.startFails);
  await job.pause(faults.startMs ?? 0);
  action.change((changed) => {
    changed.status = "running";
    changed.startedAt = Date.now();
  });
}

async function stop(action: GuestAction): Promise<void> {
  if (action.requestHa({ stopIn: 0 })) return;
  const guest = action.look();
  if (!action.flag("skiplock")) checkLock(guest);
  await action.job.pause(0);
  action.change((changed) => changed.status = "stopped");
}

async function shutdown(action: GuestAction): Promise<void> {
  const { job, task, faults } = action;
  const seconds = Number(task.options.timeout ?? DEFAULT_SHUTDOWN_SECONDS);
  if (action.requestHa({ stopIn: seconds })) return;
  if (!action.flag("skiplock")) checkLock(action.look());
  const limit = seconds * 1000 * readState(job.dir).knobs.timeScale;
  const needed = faults.ignoreShutdown ? Infinity : faults.shutdownMs ?? 0;
  await job.pause(Math.min(needed, limit));
  if (needed > limit && !action.flag("forceStop")) {
    throw new Error(
      task.kind === "qemu" ? "VM quit/powerdown failed - got timeout" : "container did not stop",
    );
  }
  if (needed > limit && task.kind === "qemu") {
    job.print("VM quit/powerdown failed - terminating now with SIGTERM");
  }
  action.change((changed) => changed.status = "stopped");
}

function destroy(action: GuestAction): void {
  updateState(action.job.dir, (state) => {
    const guest = localGuest(state, action.job.node, action.task.kind, action.vmid);
    if (!action.flag("skiplock")) checkLock(guest);
    for (const [id, volume] of Object.entries(state.volumes)) {
      const referenced = guest.config.includes(id);
      if (volume.vmid === action.vmid && (referenced || action.flag("destroy-unreferenced-disks"))) {
        freeVolume(state, id);
      }
    }
    delete state.guests[action.vmid];
  });
}

/**
 * `qm agent VMID ping` (qemu-server's QemuServer/Agent.pm, agent_available): any `agent` line counts as configured, and
 * one that is switched off has nobody who answers. An empty answer is not printed (CLI/qm.pm, print_agent_result).
 */
function agent(action: GuestAction): void {
  const { config, status } = action.look();
  const line = configValue(config, "agent");
  if (line === undefined) throw new Error("No QEMU guest agent configured");
  if (status === "stopped") throw new Error(`VM ${action.vmid} is not running`);
  const isOn = isTrue(line.split(",")[0]?.replace(/^enabled=/, ""));
  if (!isOn || action.faults.silent) throw new Error("QEMU guest agent is not running");
}

export async function runGuestTask(job: Job): Promise<void> {
  const task = job.file.data as GuestTask;
  const action = new GuestAction(job, task, job.file.vmid!);
  switch (task.name) {
    case "start":
      return await start(action);
    case "stop":
      return await stop(action);
    case "shutdown":
      return await shutdown(action);
    case "destroy":
      return destroy(action);
    case "agent":
    case "guest cmd":
      return agent(action);
    case "clone":
      return await (await import("./guest_clone.ts")).cloneGuest(job, task, action.vmid);
    default:
      return (await import("./guest_clone.ts")).moveDisk(job, task, action.vmid);
  }
}
