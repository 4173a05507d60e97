import { SingleBar } from "cli-progress";
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

/** On a terminal one line that is drawn anew for the guest at work; elsewhere only what has happened. */
export function showProgress(terminal: Terminal): Progress {
  return terminal.isInteractive ? new LiveLine(terminal) : new PlainLines(terminal);
}

function subject(event: { vmid: number; kind?: GuestKind; name?: string }): string {
  const label = event.kind ? guestLabel({ vmid: event.vmid, kind: event.kind }) : `Guest ${event.vmid}`;
  return event.name !== undefined ? `${label} "${event.name}"` : label;
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

class LiveLine extends PlainLines {
  #bar: SingleBar | undefined;
  #state = { label: "", bytes: 0, started: 0, percent: undefined as number | undefined, phase: "" };

  override listen(event: FlowEvent): void {
    if (event.type === "guest-started") return this.#begin(event);
    if (event.type === "guest-finished" || event.type === "note") {
      const running = this.#bar;
      this.close();
      super.listen(event);
      if (event.type === "note" && running) this.#draw();
      return;
    }
    if (event.type === "bytes") this.#state.bytes = event.bytes;
    if (event.type === "percent") this.#state.percent = event.percent;
    if (event.type === "phase") this.#state.phase = event.text;
  }

  override close(): void {
    this.#bar?.stop();
    this.#bar = undefined;
  }

  #begin(event: Extract<FlowEvent, { type: "guest-started" }>): void {
    const place = event.total > 1 ? `[${event.index + 1}/${event.total}] ` : "";
    this.#state = {
      label: place + subject(event),
      bytes: 0,
      started: Date.now(),
      percent: undefined,
      phase: "",
    };
    this.#draw();
  }

  /** cli-progress would hide the cursor and turn line wrapping off, and leave both so when we are killed. */
  #draw(): void {
    this.#bar = new SingleBar({
      clearOnComplete: true,
      hideCursor: null,
      linewrap: null,
      fps: 5,
      forceRedraw: true,
      format: () => printable(this.#line()),
    });
    this.#bar.start(1, 0);
  }

  #line(): string {
    const { label, bytes, started, percent, phase } = this.#state;
    const seconds = (Date.now() - started) / 1000;
    const parts = [label, sizeText(bytes), rate(bytes, seconds), clockText(seconds)];
    if (percent !== undefined) parts.push(`${percent} %`);
    if (phase !== "") parts.push(phase);
    return parts.filter((part) => part !== "").join("  ");
  }
}
