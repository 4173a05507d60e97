import { stagingBytes } from "./plan_space.ts";
import { storagesToWrite } from "./stage.ts";
import type { PlannedRestore, RestoreSettings, RestoreWish, Surroundings } from "./plan.ts";

/** Decides whether the archive is staged or streamed, and refuses what would be lost in a stream. */
export function planMethod(
  plan: PlannedRestore,
  wish: RestoreWish,
  around: Surroundings,
  settings: RestoreSettings,
): void {
  const { method = "staged", ifExists, isIfExistsGiven } = settings;
  const obstacles = plan.kind === "lxc" ? lostInPipe(wish) : [];
  plan.streams = method === "stream" ||
    (method === "auto" && plan.action === "create" && obstacles.length === 0 &&
      isSpaceShort(plan, wish, around, settings));
  if (!plan.streams) return;
  if (plan.kind === "lxc" && wish.config.unprivileged === "1") plan.unprivileged = true;
  const hint = "restore it with --restore-method staged";
  plan.refusals.push(...obstacles.map((reason) => ({ reason, hint })));
  if (plan.action === "replace" && ifExists !== "refuse" && !isIfExistsGiven) {
    plan.refusals.push({
      reason: "a stream destroys the guest that stands there before the archive has been seen to its end",
      hint: `pass --if-exists ${ifExists} as well if that is what you want, or ${hint}`,
    });
  }
}

/** What `pct restore -` takes over from no archive (pve-container, LXC/Create.pm), and nobody can give it. */
function lostInPipe({ config }: RestoreWish): string[] {
  const lost: string[] = [];
  if (config.template === "1") lost.push("a streamed container is no template any more");
  if (config["lxc.idmap"] !== undefined) {
    lost.push("a streamed container is unpacked without its own lxc.idmap, with wrong owners");
  }
  return lost;
}

/** Whether the archive does not fit where it would be staged; not known is not short. */
function isSpaceShort(
  { node }: PlannedRestore,
  wish: RestoreWish,
  { stagingSpace }: Surroundings,
  { storage }: RestoreSettings,
): boolean {
  const needed = stagingBytes(wish, storagesToWrite(wish.archive.kind, storage));
  return needed > (stagingSpace?.get(node) ?? Infinity);
}
