import type { EventListener } from "../core/events.ts";
import type { Guest, GuestKind } from "../core/guest.ts";
import type { GuestReport } from "../core/snapshot.ts";

/** What a guest and a report on one have in common. */
interface Label {
  vmid: number;
  kind?: GuestKind | undefined;
  name?: string | undefined;
  node?: string | undefined;
}

/** Tells a listener of guests that begin and end; of their nodes only where `guests` are of several. */
export class GuestEvents {
  readonly #hasSeveralNodes: boolean;

  constructor(private readonly guests: readonly Guest[], private readonly listen: EventListener) {
    this.#hasSeveralNodes = guests.some((guest) => guest.node !== guests[0]?.node);
  }

  started(guest: Guest): void {
    const index = this.guests.findIndex(({ vmid }) => vmid === guest.vmid);
    const { kind } = guest;
    this.listen({ type: "guest-started", ...this.#label(guest), kind, index, total: this.guests.length });
  }

  finished(report: GuestReport): void {
    const { outcome, bytes, seconds, error = "" } = report;
    const good = outcome === "good";
    this.listen({ type: "guest-finished", ...this.#label(report), good, bytes, seconds, text: error });
  }

  #label({ vmid, kind, name, node }: Label) {
    return {
      vmid,
      ...(kind ? { kind } : {}),
      ...(name !== undefined ? { name } : {}),
      ...(node !== undefined && this.#hasSeveralNodes ? { node } : {}),
    };
  }
}
