import { messageOf } from "../core/errors.ts";
import { type Guest, guestLabel } from "../core/guest.ts";
import { mapBounded } from "../core/map_bounded.ts";
import type { SnapshotSink } from "../core/sink.ts";
import { FORM_VERSION, type GuestReport, type Manifest, type Report } from "../core/snapshot.ts";
import { leftoverNote } from "../proxmox/leftovers.ts";
import { type DumpNode, DumpNodes } from "./dump_nodes.ts";
import { dumpOnNode } from "./dump_on_node.ts";
import { GuestEvents } from "./guest_events.ts";
import { dumpReport, emptyReport, notTakenReports, outcomeOf } from "./guest_reports.ts";
import { describeRun, type NodeLooks } from "./manifest.ts";
import { movedGuest } from "./moved_guest.ts";
import { NodeTurns } from "./node_turns.ts";
import type { BackupContext, BackupRequest } from "./request.ts";

/**
 * One backup of a cluster: what it is about, and what has become of each guest so far. Who drives it says where
 * each guest's archive goes; the guests take their turns by themselves.
 */
export class BackupRun {
  /** Guests to back up, sorted by vmid. */
  readonly guests: readonly Guest[];
  readonly #turns: NodeTurns;
  readonly #done = new Map<number, GuestReport>();
  readonly #notes: string[];
  readonly #events: GuestEvents;

  private constructor(
    private readonly request: BackupRequest,
    private readonly context: BackupContext,
    private readonly nodes: DumpNodes,
    readonly manifest: Manifest,
  ) {
    this.guests = request.selected.guests;
    this.#turns = new NodeTurns(request.maxNodes);
    this.#notes = [...request.selected.notes];
    this.#events = new GuestEvents(this.guests, context.listen);
  }

  /**
   * Looks at the guests and their nodes; dumps nothing. A node that cannot be used fails its guests when their
   * turn comes.
   *
   * @throws {UserError} why none of the nodes can be used
   */
  static async open(request: BackupRequest, context: BackupContext): Promise<BackupRun> {
    const { nodes: { entry }, runId: id, program, now, listen } = context;
    const { guests } = request.selected;
    const run = { id, program, started: now(), options: request.options };
    const nodes = new DumpNodes(context.nodes, request);
    const looks = await lookAtNodes(nodes, guests, request.maxNodes);
    const opened = new BackupRun(request, context, nodes, await describeRun(entry, guests, looks, run));
    for (const report of notTakenReports(request.selected, opened.manifest)) opened.#events.finished(report);
    for (const [name, look] of looks) {
      if ("error" in look) listen({ type: "note", text: `Node "${name}" cannot be used: ${look.error}` });
    }
    for (const text of await leftoverNotes(looks, request.dumpDir)) listen({ type: "note", text });
    return opened;
  }

  /**
   * Dumps one guest into `sink` when it is its node's turn, and once more on another node when it has moved there
   * meanwhile. Never rejects: a failure is the guest's. No dump begins any more after a stop, after a failure
   * with on_error=fail, or when nobody wants it: `unwanted` is aborted.
   */
  async backUp(
    guest: Guest,
    sink: Pick<SnapshotSink, "store">,
    unwanted?: AbortSignal,
  ): Promise<GuestReport> {
    const { report, moved } = await this.#inTurn(guest, sink, unwanted);
    return moved ? (await this.#inTurn(moved, sink, unwanted, report)).report : report;
  }

  /** What has happened so far; guests that were not dumped count as not started. */
  report(): Report {
    const { context: { runId, stop, now }, request, manifest } = this;
    const tried = this.guests.map((guest) =>
      this.#done.get(guest.vmid) ?? { ...emptyReport(guest, manifest), outcome: "not-started" as const }
    );
    const guests = [...notTakenReports(request.selected, manifest), ...tried];
    return {
      version: FORM_VERSION,
      run: runId,
      started: manifest.started,
      finished: now().toISOString(),
      outcome: outcomeOf(guests, { interrupted: stop.aborted, onError: request.onError }),
      guests,
      notes: stop.aborted ? [...this.#notes, messageOf(stop.reason)] : [...this.#notes],
    };
  }

  /** One attempt, which is the last one when there was one `before`; else it may find that the guest has moved. */
  #inTurn(
    guest: Guest,
    sink: Pick<SnapshotSink, "store">,
    unwanted: AbortSignal | undefined,
    before?: GuestReport,
  ): Promise<{ report: GuestReport; moved?: Guest }> {
    return this.#turns.take(guest.node, async () => {
      const reason = this.#whyNotToStart(unwanted);
      const report = reason === undefined
        ? await this.#dump(guest, sink)
        : before ?? this.#notStarted(guest, reason);
      const moved = before || report.outcome !== "failed" || report.bytes > 0
        ? undefined
        : await this.#lookUp(guest);
      if (moved) return { report, moved };
      // Within the turn, so that the next one knows of a failure.
      this.#done.set(guest.vmid, report);
      if (report.outcome !== "not-started") this.#events.finished(report);
      return { report };
    });
  }

  #notStarted(guest: Guest, reason: string): GuestReport {
    const error = `Cannot back up ${guestLabel(guest)}: it was not started: ${reason}`;
    return { ...emptyReport(guest, this.manifest), outcome: "not-started", error };
  }

  #whyNotToStart(unwanted: AbortSignal | undefined): string | undefined {
    const { request: { onError, selected }, context: { stop } } = this;
    if (stop.aborted) return messageOf(stop.reason);
    if (unwanted?.aborted) return messageOf(unwanted.reason);
    if (onError === "continue") return undefined;
    const hasFailures = selected.failed.length > 0 ||
      [...this.#done.values()].some((guest) => guest.outcome === "failed");
    return hasFailures ? 'another guest failed, and on_error is "fail"' : undefined;
  }

  async #dump(guest: Guest, sink: Pick<SnapshotSink, "store">): Promise<GuestReport> {
    const { context: { runId, listen, stop, now }, request, nodes } = this;
    this.#events.started(guest);
    const time = now();
    const result = await dumpOnNode(guest, {
      nodes,
      runId,
      sink,
      dumpDir: request.dumpDir,
      request: {
        settings: request.settings,
        method: request.method,
        ...(request.cleanup ? {} : { keepIn: request.dumpDir }),
      },
      stallTimeout: request.stallTimeout * 1000,
      time: request.nameTime ?? time,
      listen,
      stop,
    });
    return dumpReport(emptyReport(guest, this.manifest), result, (now().getTime() - time.getTime()) / 1000);
  }

  /** The guest on the node that it has moved to, if it has. */
  async #lookUp(guest: Guest): Promise<Guest | undefined> {
    const { nodes: { entry }, stop, listen } = this.context;
    const moved = stop.aborted ? undefined : await movedGuest(entry, guest);
    if (!moved) return undefined;
    const text = `${guestLabel(guest)} has moved from node "${guest.node}" to "${moved.node}" meanwhile`;
    this.#notes.push(text);
    listen({ type: "note", text: `${text}; it is dumped there` });
    return moved;
  }
}

/** Reaches the nodes of `guests`, at most `most` at once, and sees whether they can be dumped on. */
async function lookAtNodes(nodes: DumpNodes, guests: readonly Guest[], most: number): Promise<NodeLooks> {
  const names = [...new Set(guests.map((guest) => guest.node))];
  const causes: unknown[] = [];
  const looks = await mapBounded(
    names,
    most,
    async (name): Promise<[string, DumpNode | { error: string }]> => {
      try {
        return [name, await nodes.on(name)];
      } catch (cause) {
        causes.push(cause);
        return [name, { error: messageOf(cause) }];
      }
    },
  );
  if (causes.length > 0 && causes.length === names.length) throw causes[0];
  return new Map(looks);
}

/** What killed runs left on the nodes, a sentence each. */
async function leftoverNotes(looks: NodeLooks, dumpDir: string): Promise<string[]> {
  const nodes = [...looks.values()].flatMap((look) => "node" in look ? [look.node] : []);
  return (await Promise.all(nodes.map((node) => leftoverNote(node, dumpDir)))).filter((text) =>
    text !== undefined
  );
}
