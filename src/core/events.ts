import type { GuestKind } from "./guest.ts";

/** What a flow says while it runs; who listens decides how it is shown. */
export type FlowEvent =
  | {
    type: "guest-started";
    vmid: number;
    kind: GuestKind;
    name?: string;
    /** The guest's node, where the flow works on several. */
    node?: string;
    index: number;
    total: number;
  }
  /** Bytes moved for the guest so far. */
  | { type: "bytes"; vmid: number; bytes: number }
  /** The Proxmox tool's own percentage. */
  | { type: "percent"; vmid: number; percent: number }
  /** What the guest waits for, or is at; an empty text when that is over. */
  | { type: "phase"; vmid: number; text: string }
  | {
    type: "guest-finished";
    vmid: number;
    kind?: GuestKind;
    name?: string;
    node?: string;
    good: boolean;
    bytes: number;
    seconds: number;
    text: string;
  }
  /** Something worth knowing that is no failure. */
  | { type: "note"; text: string };

export type EventListener = (event: FlowEvent) => void;
