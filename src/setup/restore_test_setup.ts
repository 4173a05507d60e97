import type { DecoderFactory } from "../archive/contents.ts";
import type { RestoreTestOptions } from "../config/options.ts";
import type { SnapshotSource, StoredArchive } from "../core/sink.ts";
import { type Nodes, requireNode } from "../proxmox/nodes.ts";
import type { PlannedRestore, RestoreWish } from "../restore/plan.ts";
import { readWishes } from "../restore/survey.ts";
import { freeVmids } from "../restore/targets.ts";
import { type TestedGuest, unreadResult } from "../restore_test/report.ts";
import { asTest } from "../restore_test/restore_test.ts";
import type { TestTask } from "../restore_test/test_guest.ts";
import { planOnNodes } from "./restore_setup.ts";
import { TEST_SETTINGS } from "./test_settings.ts";

/** What is to be tested, and what cannot be because its very beginning is damaged. */
export interface PlannedTests {
  tasks: TestTask[];
  unread: TestedGuest[];
}

/** Plans the tests of `archives`, each in a free vmid of its own. */
export async function planTests(
  nodes: Nodes,
  archives: readonly StoredArchive[],
  options: Pick<RestoreTestOptions, "node" | "storage" | "dump_dir">,
  from: { source: SnapshotSource; decoder: DecoderFactory },
): Promise<PlannedTests> {
  const { entry } = nodes;
  const { node, storage, dump_dir } = options;
  if (node !== undefined) requireNode(entry, node);
  const targets = await freeVmids(entry, archives.length);
  const wishes: RestoreWish[] = [];
  const unread: TestedGuest[] = [];
  for (const [index, archive] of archives.entries()) {
    const target = targets[index] as number;
    const [wish] = await readWishes(entry, [archive], target, from) as [RestoreWish];
    const { damage } = wish;
    if (damage === undefined) wishes.push(wish);
    else unread.push(unreadResult(archive, { target, node: node ?? entry.name }, damage));
  }
  const plans = await planOnNodes(nodes, wishes, { node, storage, dump_dir, ...TEST_SETTINGS });
  return { tasks: plans.map((plan, index) => taskOf(plan, wishes[index] as RestoreWish)), unread };
}

function taskOf(plan: PlannedRestore, { config }: RestoreWish): TestTask {
  return asTest({ plan, config });
}
