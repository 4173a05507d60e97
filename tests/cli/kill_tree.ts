/** Kills a process and all that it started, guards included, so that nobody cleans up. */
export async function killTree(pid: number): Promise<void> {
  const tree = [pid, ...descendants(pid)];
  // Stopped first: who sees its parent die would begin to clean up.
  for (const signal of ["SIGSTOP", "SIGKILL"] as const) for (const one of tree) send(one, signal);
  const deadline = Date.now() + 10_000;
  while (tree.some(isAlive) && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 20));
}

function descendants(pid: number): number[] {
  const children = new Map<number, number[]>();
  for (const { name } of Deno.readDirSync("/proc")) {
    const child = Number(name);
    if (!Number.isInteger(child)) continue;
    const parent = parentOf(child);
    if (parent !== undefined) children.set(parent, [...(children.get(parent) ?? []), child]);
  }
  const below = (parent: number): number[] =>
    (children.get(parent) ?? []).flatMap((child) => [child, ...below(child)]);
  return below(pid);
}

function parentOf(pid: number): number | undefined {
  try {
    return Number(/^PPid:\s+(\d+)/m.exec(Deno.readTextFileSync(`/proc/${pid}/status`))?.[1]);
  } catch {
    return undefined; // ended meanwhile
  }
}

function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(Deno.readTextFileSync(`/proc/${pid}/status`));
  } catch {
    return false;
  }
}

function send(pid: number, signal: "SIGSTOP" | "SIGKILL"): void {
  try {
    Deno.kill(pid, signal);
  } catch {
    // Ended meanwhile.
  }
}
