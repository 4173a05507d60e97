import { MultiBar } from "cli-progress";
import type { FlowEvent } from "../core/events.ts";
import { type GuestKind, guestLabel } from "../core/guest.ts";
import { clockText } from "./table.ts";
import { sizeText } from "../core/units.ts";
import { printable, type Terminal } from "./terminal.ts";

/** Shows a flow's events to people. `close` removes what is only of the moment. */
export interface Progress {
  listen(event: FlowEvent): void;
  close(): void;
}

/** On a terminal a line for each guest at work, drawn anew as it goes on; elsewhere only what has happened. */
export function showProgress(terminal: Terminal): Progress {
  return terminal.isInteractive ? new LiveLines(terminal) : new PlainLines(terminal);
}

function subject(event: { vmid: number; kind?: GuestKind; name?: string; node?: string }): string {
  const label = event.kind ? guestLabel({ vmid: event.vmid, kind: event.kind }) : `Guest ${event.vmid}`;
  const name = event.name !== undefined ? ` "${event.name}"` : "";
  return `${label}${name}${event.node !== undefined ? ` on ${event.node}` : ""}`;
}

function rate(bytes: number, seconds: number): string {
  return seconds > 0 ? `${sizeText(bytes / seconds)}/s` : "";
}

class PlainLines implements Progress {
  constructor(protected readonly terminal: Terminal) {}

  listen(event: FlowEvent): void {
    if (event.type === "note") this.terminal.say(event.text);
    if (event.type === "phase" && event.text.startsWith("waiting")) {
      this.terminal.say(`Guest ${event.vmid}: ${event.text}`);
    }
    if (event.type !== "guest-finished") return;
    const { good, bytes, seconds, text } = event;
    const figures = `${sizeText(bytes)} in ${clockText(seconds)}`;
    if (good) {
      this.terminal.say(`${subject(event)}: ok, ${figures}${seconds > 1 ? `, ${rate(bytes, seconds)}` : ""}`);
    } else this.terminal.say(text);
  }

  close(): void {}
}

/** A guest at work. */
interface Running {
  label: string;
  bytes: number;
  /** By the clock of `performance`, which nobody sets. */
  started: number;
  percent?: number;
  phase: string;
}

class LiveLines extends PlainLines {
  #bars: MultiBar | undefined;
  readonly #running = new Map<number, Running>();

  override listen(event: FlowEvent): void {
    if (event.type === "guest-started") {
      const place = event.total > 1 ? `[${event.index + 1}/${event.total}] ` : "";
      const label = place + subject(event);
      this.#running.set(event.vmid, { label, bytes: 0, started: performance.now(), phase: "" });
      return this.#draw();
    }
    if (event.type === "guest-finished" || event.type === "note") {
      if (event.type === "guest-finished") this.#running.delete(event.vmid);
      this.close();
      super.listen(event);
      return this.#draw();
    }
    const running = this.#running.get(event.vmid);
    if (!running) return;
    if (event.type === "bytes") running.bytes = event.bytes;
    if (event.type === "percent") running.percent = event.percent;
    if (event.type === "phase") running.phase = event.text;
  }

  override close(): void {
    this.#bars?.stop();
    this.#bars = undefined;
  }

  /** cli-progress would hide the cursor and turn line wrapping off, and leave both so when we are killed. */
  #draw(): void {
    this.close();
    if (this.#running.size === 0) return;
    const bars = new MultiBar({
      clearOnComplete: true,
      hideCursor: false,
      linewrap: true,
      fps: 5,
      forceRedraw: true,
    });
    for (const running of this.#running.values()) {
      bars.create(1, 0, {}, { format: () => printable(lineOf(running)) });
    }
    bars.update();
    this.#bars = bars;
  }
}

function lineOf({ label, bytes, started, percent, phase }: Running): string {
  const seconds = (performance.now() - started) / 1000;
  const parts = [label, sizeText(bytes), rate(bytes, seconds), clockText(seconds)];
  if (percent !== undefined) parts.push(`${percent} %`);
  if (phase !== "") parts.push(phase);
  return parts.filter((part) => part !== "").join("  ");
}
