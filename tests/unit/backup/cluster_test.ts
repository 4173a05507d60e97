import assert from "node:assert/strict";
import { backup } from "../../../src/backup/backup.ts";
import type { BackupRequest } from "../../../src/backup/request.ts";
import { selectGuests } from "../../../src/backup/select.ts";
import type { FlowEvent } from "../../../src/core/events.ts";
import type { Report } from "../../../src/core/snapshot.ts";
import { listGuests } from "../../../src/proxmox/cluster.ts";
import { type Call, type GuestSpec, SimNode } from "../../pve/mod.ts";
import { simNodes } from "../proxmox/sim_nodes.ts";
import { namesIn } from "../store/temp_dir.ts";
import { RecordingSink } from "./recording_sink.ts";

interface Given {
  guests: GuestSpec[];
  otherNodes?: string[];
  request?: Partial<BackupRequest>;
  stop?: AbortController;
  listen?: (event: FlowEvent) => void;
  /** After the guests were listed, before the first dump. */
  meanwhile?: (sim: SimNode) => void;
}

interface BackedUp {
  report: Report;
  sink: RecordingSink;
  events: FlowEvent[];
  dumps: Call[];
}

const small = (vmid: number, node: string): GuestSpec => ({
  vmid,
  node,
  disks: [{ key: "scsi0", size: "1M" }],
});

/** Backs up all guests of a simulated cluster that is entered by pve1. */
async function backedUp(given: Given): Promise<BackedUp> {
  const { guests, otherNodes = ["pve2"], request, meanwhile, stop = new AbortController() } = given;
  await using sim = await SimNode.create({ otherNodes, guests });
  const nodes = await simNodes(sim);
  const selection = { all: true, node: "all", templates: true };
  const selected = selectGuests(await listGuests(nodes.entry), selection, "pve1");
  meanwhile?.(sim);
  const sink = new RecordingSink();
  const events: FlowEvent[] = [];
  const asked: BackupRequest = {
    selected,
    settings: { mode: "snapshot", compress: "0", notify: "off", hooks: true, lockwait: 180 },
    method: "stream",
    dumpDir: sim.dumpDir,
    maxNodes: 4,
    stallTimeout: 600,
    onError: "continue",
    cleanup: true,
    options: {},
    ...request,
  };
  const report = await backup(asked, {
    nodes,
    runId: "0123456789abcdef",
    program: "plakar-proxmox 0.0.0",
    now: () => new Date(),
    listen: (event) => {
      events.push(event);
      given.listen?.(event);
    },
    stop: stop.signal,
  }, sink);
  assert.deepEqual(await namesIn(sim.dumpDir), [], "something was left in dump_dir");
  assert.deepEqual(sim.locks().guests, {});
  return { report, sink, events, dumps: sim.calls().filter(({ tool }) => tool === "vzdump") };
}

const outcomes = (report: Report) => report.guests.map(({ vmid, node, outcome }) => [vmid, node, outcome]);
const overlap = (a: Call, b: Call) => a.started < (b.ended ?? 0) && b.started < (a.ended ?? 0);

/** Whether any two of the calls ran at the same time. */
const anyOverlap = (calls: readonly Call[]) =>
  calls.some((one, index) => calls.slice(index + 1).some((other) => overlap(one, other)));

/** Guests of two nodes that take some time each. */
const FOUR: Given = {
  guests: [small(101, "pve1"), small(102, "pve2"), small(103, "pve1"), small(104, "pve2")],
  meanwhile: (sim) => [101, 102, 103, 104].forEach((vmid) => sim.fault(vmid, { delayMs: 500 })),
};

Deno.test("backup() dumps on two nodes side by side, on each one guest at a time", async () => {
  const { report, sink, dumps, events } = await backedUp(FOUR);
  assert.deepEqual(outcomes(report), [
    [101, "pve1", "good"],
    [102, "pve2", "good"],
    [103, "pve1", "good"],
    [104, "pve2", "good"],
  ]);
  assert.equal(sink.stored.length, 4);
  const of = (node: string) => dumps.filter((call) => call.node === node);
  assert.deepEqual(of("pve1").map(({ argv }) => argv[0]), ["101", "103"]);
  assert.deepEqual(of("pve2").map(({ argv }) => argv[0]), ["102", "104"]);
  assert.ok(!anyOverlap(of("pve1")) && !anyOverlap(of("pve2")), "two dumps at a time on one node");
  assert.ok(anyOverlap(dumps), "the nodes did not work side by side");

  const { manifest } = sink;
  assert.deepEqual(manifest?.guests.map(({ vmid, node }) => [vmid, node]), [
    [101, "pve1"],
    [102, "pve2"],
    [103, "pve1"],
    [104, "pve2"],
  ]);
  assert.ok(manifest?.guests.every(({ config }) => config?.scsi0), "a configuration is missing");
  assert.deepEqual(manifest?.nodes.map(({ name, release }) => [name, release]), [
    ["pve1", "8.4.1"],
    ["pve2", "8.4.1"],
  ]);
  const started = events.find((event) => event.type === "guest-started" && event.vmid === 102);
  assert.equal(started?.type === "guest-started" && started.node, "pve2");
});

Deno.test("backup() works on no more nodes at once than max_nodes", async () => {
  const { report, dumps } = await backedUp({ ...FOUR, request: { maxNodes: 1 } });
  assert.equal(report.outcome, "good");
  assert.equal(dumps.length, 4);
  assert.ok(!anyOverlap(dumps), "two nodes at once");
});

Deno.test("backup() fails the guests of a node that cannot be reached, and no others", async () => {
  const { report, sink, dumps } = await backedUp({
    otherNodes: ["pve2", "!pve3"],
    guests: [small(101, "pve1"), small(102, "pve2"), small(103, "pve3"), small(104, "pve3")],
  });
  assert.equal(report.outcome, "partial");
  assert.deepEqual(outcomes(report), [
    [101, "pve1", "good"],
    [102, "pve2", "good"],
    [103, "pve3", "failed"],
    [104, "pve3", "failed"],
  ]);
  assert.equal(
    report.guests[3]?.error,
    'Cannot back up VM 104: Cannot reach node "pve3": no route to host',
  );
  assert.deepEqual(dumps.map(({ argv }) => argv[0]).sort(), ["101", "102"]);
  const down = sink.manifest?.nodes.find(({ name }) => name === "pve3");
  assert.deepEqual([down?.online, down?.release], [false, undefined]);
  assert.match(down?.error ?? "", /no route to host$/);
});

Deno.test("backup() begins nothing where none of the nodes can be reached", async () => {
  const given = { otherNodes: ["!pve2", "!pve3"], guests: [small(102, "pve2"), small(103, "pve3")] };
  await assert.rejects(backedUp(given), { kind: "unreachable", message: /"pve2": no route to host$/ });
});

Deno.test("backup() dumps a guest that has moved meanwhile on its new node, and says so", async () => {
  const { report, dumps, events } = await backedUp({
    guests: [small(101, "pve1"), small(102, "pve2")],
    meanwhile: (sim) => sim.change((state) => state.guests[101]!.node = "pve2"),
  });
  assert.deepEqual(outcomes(report), [[101, "pve2", "good"], [102, "pve2", "good"]]);
  const calls = dumps.filter(({ argv }) => argv[0] === "101");
  assert.deepEqual(calls.map(({ node, exit }) => [node, exit]), [["pve1", 0], ["pve2", 0]]);
  assert.ok(!anyOverlap(dumps.filter(({ node }) => node === "pve2")), "two dumps at a time on one node");
  const moved = 'VM 101 has moved from node "pve1" to "pve2" meanwhile';
  assert.ok(report.notes.includes(moved), report.notes.join());
  assert.ok(events.some((event) => event.type === "note" && event.text.startsWith(moved)));
});

Deno.test("backup() looks for a moved guest once, not again where it has moved on", async () => {
  const { report, dumps } = await backedUp({
    otherNodes: ["pve2", "!pve3"],
    guests: [small(101, "pve1"), small(102, "pve2")],
    meanwhile: (sim) => sim.change((state) => state.guests[101]!.node = "pve3"),
  });
  assert.deepEqual(outcomes(report), [[101, "pve3", "failed"], [102, "pve2", "good"]]);
  assert.match(report.guests[0]?.error ?? "", /^Cannot back up VM 101: Cannot reach node "pve3"/);
  assert.equal(dumps.filter(({ argv }) => argv[0] === "101").length, 1);
});

Deno.test("backup() with on_error=fail starts no other guest on any node after a failure", async () => {
  const { report, dumps } = await backedUp({
    ...FOUR,
    request: { onError: "fail" },
    meanwhile: (sim) => {
      sim.fault(101, { failAtStart: "storage is not online" });
      sim.fault(102, { delayMs: 1500 });
    },
  });
  assert.deepEqual(outcomes(report), [
    [101, "pve1", "failed"],
    [102, "pve2", "good"],
    [103, "pve1", "not-started"],
    [104, "pve2", "not-started"],
  ]);
  assert.equal(report.outcome, "failed");
  assert.match(report.guests[3]?.error ?? "", /it was not started: another guest failed, and on_error is/);
  assert.deepEqual(dumps.map(({ argv }) => argv[0]).sort(), ["101", "102"]);
});

Deno.test("backup() ends the dumps of all nodes at a stop and starts no other", async () => {
  const stop = new AbortController();
  const running = new Set<number>();
  const { report } = await backedUp({
    ...FOUR,
    meanwhile: (sim) => [101, 102].forEach((vmid) => sim.fault(vmid, { hangAfterBytes: 4096 })),
    stop,
    listen: (event) => {
      if (event.type === "bytes") running.add(event.vmid);
      if (running.size === 2) stop.abort(new Error("Interrupted by SIGTERM"));
    },
  });
  assert.deepEqual(outcomes(report), [
    [101, "pve1", "failed"],
    [102, "pve2", "failed"],
    [103, "pve1", "not-started"],
    [104, "pve2", "not-started"],
  ]);
  assert.equal(report.outcome, "interrupted");
  assert.match(report.guests[1]?.error ?? "", /^Cannot back up VM 102: Interrupted by SIGTERM$/);
});
