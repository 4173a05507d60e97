import type { ConfigValues } from "../archive/guest_config.ts";
import { messageOf, UserError } from "../core/errors.ts";
import type { EventListener } from "../core/events.ts";
import { listGuests, listStorages, type ProxmoxNode } from "../proxmox/cluster.ts";
import { control, type GuestId } from "../proxmox/guest_control.ts";
import { changeSettings, readSettings } from "../proxmox/guest_settings.ts";
import { freeMemory } from "../proxmox/node_memory.ts";
import type { WorkDir } from "../proxmox/work_dir.ts";
import { isLostTouch } from "../proxmox/lost_touch.ts";
import type { PlannedRestore } from "../restore/plan.ts";
import { emptyEntry, refusalSentences, type RestoredGuest } from "../restore/report.ts";
import { deviations, harmlessEdit, memoryOf } from "./harmless.ts";
import { markValues, workDirOf } from "./mark.ts";
import { removeByHand, removeMarked } from "./marked_guest.ts";
import { prove } from "./proof.ts";
import type { TestedGuest } from "./report.ts";

/** Bytes of memory that the node keeps beside what the guest takes. */
const SPARE_MEMORY = 512 * 1024 ** 2;
/** Milliseconds for a start, as long as for any restored guest. */
const START_TIMEOUT = 300_000;

/** So that the guest of a killed run neither starts with its node nor withstands being removed. */
const KEPT_DOWN = { onboot: "0", protection: "0" };

/** A restore that is to be tested, see `asTest`. */
export interface TestTask {
  plan: PlannedRestore;
  /** The configuration in the archive. */
  config: ConfigValues;
}

export interface TestContext {
  /** The plan's node. */
  node: ProxmoxNode;
  /** Of this run; its lock tells others that the test is going on. */
  workDir: WorkDir;
  runId: string;
  /** Seconds for the started guest to answer. */
  timeout: number;
  now: () => Date;
  listen: EventListener;
  stop: AbortSignal;
}

/** Thrown where nothing was begun. */
class Refusal extends UserError {
  constructor(message: string) {
    super("failed", message);
  }
}

/** Restores the guest as planned, with `settings` from its very beginning. */
export type RestoreIt = (entry: RestoredGuest, settings: Readonly<Record<string, string>>) => Promise<void>;

/**
 * Tests one archive: `restoreIt` restores it; the guest is made harmless, started, watched and removed.
 * Fills in `result`, whatever happens.
 */
export async function testGuest(
  task: TestTask,
  result: TestedGuest,
  restoreIt: RestoreIt,
  context: TestContext,
): Promise<void> {
  const { plan } = task;
  const { node, now, stop } = context;
  const guest: GuestId = { vmid: plan.target, kind: plan.kind };
  let isBegun = false;
  let isRestored = false;
  try {
    await requireRoom(task, node);
    isBegun = true;
    const begin = now();
    const entry = emptyEntry(plan, "failed");
    await restoreIt(entry, { ...markOf(guest, result, context), ...KEPT_DOWN });
    isRestored = true;
    result.restoreSeconds = secondsSince(begin, now);
    await bootAndWatch(guest, task.config, result, context);
  } catch (error) {
    tellFailure(result, error, stop);
    if (isLostTouch(error)) {
      context.workDir.leave();
      if (isBegun) result.left = removeByHand(node, guest);
      return;
    }
  }
  if (!isRestored) return;
  context.listen({ type: "phase", vmid: plan.target, text: "removing the guest" });
  await removeMarked(node, guest, context.runId).catch((error) => {
    result.left = `${messageOf(error)}; ${removeByHand(node, guest)}`;
  });
}

function tellFailure(result: TestedGuest, error: unknown, stop: AbortSignal): void {
  const isInterrupted = stop.aborted && error === stop.reason;
  result.outcome = isInterrupted ? "not-tested" : error instanceof Refusal ? "refused" : "failed";
  result.text = isInterrupted ? "the run was interrupted" : messageOf(error);
  if (error instanceof UserError && error.kind === "damage") result.damaged = true;
}

/** Refuses a test that would take memory or space which the node's other guests need. */
async function requireRoom({ plan, config }: TestTask, node: ProxmoxNode): Promise<void> {
  if (plan.refusals.length > 0) throw new Refusal(refusalSentences(plan).join("; "));
  if (config.template !== "1") await requireMemory(config, node);
  const needed = new Map<string, number>();
  for (const { storage, size } of plan.disks) {
    if (storage !== undefined) needed.set(storage, (needed.get(storage) ?? 0) + size);
  }
  const storages = await listStorages(node);
  for (const [id, bytes] of needed) {
    const free = storages.find((storage) => storage.id === id)?.available;
    if (free === undefined || free >= bytes) continue;
    throw new Refusal(`its disks need ${mib(bytes)} on storage "${id}", which has ${mib(free)} free`);
  }
}

async function requireMemory(config: ConfigValues, node: ProxmoxNode): Promise<void> {
  const [needed, free] = [memoryOf(config) + SPARE_MEMORY, await freeMemory(node)];
  if (needed <= free) return;
  throw new Refusal(
    `it needs ${mib(memoryOf(config))} of memory and ${mib(SPARE_MEMORY)} to spare, node "${node.name}" has ${
      mib(free)
    } free`,
  );
}

const mib = (bytes: number): string => `${Math.max(1, Math.floor(bytes / 1024 ** 2))} MiB`;

async function bootAndWatch(
  guest: GuestId,
  archived: ConfigValues,
  result: TestedGuest,
  context: TestContext,
): Promise<void> {
  const { node, now, stop, timeout, listen } = context;
  const phase = (text: string) => listen({ type: "phase", vmid: guest.vmid, text });
  phase("taking off what reaches outside");
  const config = await makeHarmless(guest, archived, result, context);
  if (config.template === "1") {
    result.outcome = "restored";
    result.text = "a template is not started";
    return;
  }
  stop.throwIfAborted();
  await requireMemory(config, node);
  phase("starting the guest");
  const begin = now();
  await control(node, guest, "start", ["start", String(guest.vmid)], { timeout: START_TIMEOUT });
  phase("waiting for the guest to answer");
  Object.assign(result, await prove(node, guest, config, { timeout, stop }));
  result.bootSeconds = secondsSince(begin, now);
}

/**
 * Marks the guest as this run's, takes off what reaches outside of it, and reads all of that back.
 *
 * @throws {UserError} when the configuration is not as it must be: the guest must not be started
 */
async function makeHarmless(
  guest: GuestId,
  archived: ConfigValues,
  result: TestedGuest,
  context: TestContext,
): Promise<ConfigValues> {
  const { node, workDir } = context;
  const { kind, vmid } = guest;
  const mark = markOf(guest, result, context);
  // The restore's own job has marked it; that it did is not known. Nothing can be taken off while it is protected.
  const isProtected = (await readSettings(node, guest)).protection !== undefined;
  await changeSettings(node, guest, { set: mark, remove: isProtected ? ["protection"] : [] });
  const edit = harmlessEdit(kind, await readSettings(node, guest), vmid);
  await changeSettings(node, guest, edit);
  const changed = [...(isProtected ? ["protection"] : []), ...Object.keys(edit.set), ...edit.remove];
  result.without = changed.filter((key) => archived[key] !== undefined);

  const config = await readSettings(node, guest);
  // The description's text comes back encoded, and with a line end.
  const { description: _, ...wanted } = { ...mark, ...edit.set };
  const wrong = deviations(kind, config, vmid, wanted);
  if (workDirOf(config) !== workDir.path) wrong.push(`"description" is not as it was set`);
  // What is left of a former guest of this vmid: the start would be a request to the HA manager.
  const isManaged = (await listGuests(node)).find((entry) => entry.vmid === vmid)?.haState !== undefined;
  if (isManaged) wrong.push("the HA manager has a resource of its vmid");
  if (wrong.length === 0) return config;
  throw new UserError("failed", `it was restored, but not started: ${wrong.join(", ")}`);
}

/** What marks the guest as this run's. */
function markOf({ kind, vmid }: GuestId, result: TestedGuest, { runId, workDir }: TestContext) {
  return markValues({ run: runId, workDir: workDir.path }, kind, result.vmid ?? vmid);
}

const secondsSince = (begin: Date, now: () => Date): number => (now().getTime() - begin.getTime()) / 1000;
