import type { ConfigValues } from "../archive/guest_config.ts";
import type { ProxmoxNode } from "../proxmox/cluster.ts";
import { guestAnswers, hasAgent } from "../proxmox/guest_answers.ts";
import { type GuestId, guestStatus } from "../proxmox/guest_control.ts";

/** Seconds that a guest has to keep running when nothing in it can be asked. */
const KEEPS_RUNNING = 10;
/** Milliseconds between two questions. */
const ASK_INTERVAL = 1000;

/** States of QEMU out of which a VM does not come by itself (QEMU's run-state.json). */
const ENDED = new Set(["stopped", "shutdown", "internal-error", "io-error", "guest-panicked"]);

export interface Proof {
  outcome: "passed" | "not-proven" | "failed";
  /** What was seen: a clause. */
  text: string;
}

/**
 * Watches a guest that was started, for `timeout` seconds at most.
 *
 * @throws what was wrong when it could not be watched, and the reason of `stop`
 */
export async function prove(
  node: ProxmoxNode,
  guest: GuestId,
  config: ConfigValues,
  { timeout, stop }: { timeout: number; stop: AbortSignal },
): Promise<Proof> {
  const canAnswer = guest.kind === "lxc" || hasAgent(config);
  const seconds = canAnswer ? timeout : Math.min(timeout, KEEPS_RUNNING);
  const deadline = performance.now() + seconds * 1000;
  for (;;) {
    stop.throwIfAborted();
    const status = await guestStatus(node, guest);
    if (ENDED.has(status)) return { outcome: "failed", text: endText(status) };
    if (canAnswer && status === "running" && await guestAnswers(node, guest)) {
      const text = guest.kind === "qemu" ? "the guest agent answered" : "a command ran in it";
      return { outcome: "passed", text };
    }
    if (performance.now() >= deadline) {
      if (status !== "running") {
        return { outcome: "failed", text: `it is "${status}" ${seconds} s after its start` };
      }
      return { outcome: "not-proven", text: silenceText(guest, canAnswer, seconds) };
    }
    await pause(Math.min(ASK_INTERVAL, deadline - performance.now()), stop);
  }
}

function endText(status: string): string {
  return status === "stopped"
    ? "it was started and stopped by itself"
    : `it was started and ended in state "${status}"`;
}

function silenceText({ kind }: GuestId, canAnswer: boolean, seconds: number): string {
  if (!canAnswer) return `it kept running for ${seconds} s; it has no guest agent that could answer`;
  const who = kind === "qemu" ? "the guest agent did not answer" : "no command could be run in it";
  return `it keeps running, but ${who} within ${seconds} s`;
}

/** Settles after `milliseconds`, or at once when `stop` aborts. */
async function pause(milliseconds: number, stop: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(done, milliseconds);
    stop.addEventListener("abort", done, { once: true });
    function done() {
      clearTimeout(timer);
      stop.removeEventListener("abort", done);
      resolve();
    }
  });
}
