import assert from "node:assert/strict";
import { messageOf, UserError } from "../../../src/core/errors.ts";
import type { ClusterNode, ProxmoxNode } from "../../../src/proxmox/cluster.ts";
import { type ReachedNode, type Route, RoutedNodes } from "../../../src/setup/routed_nodes.ts";

const CLUSTER: ClusterNode[] = [
  { name: "pve1", online: true, address: "10.0.0.1" },
  { name: "pve2", online: true, address: "10.0.0.2" },
  { name: "pve3", online: false, address: "10.0.0.3" },
];

/** Nodes reached and let go of, in order. */
class Bed {
  readonly told: string[] = [];

  reached(name: string, how = ""): ReachedNode {
    this.told.push(`open ${name}${how}`);
    return {
      node: { name, nodes: CLUSTER, runner: { label: `root@${name}` } } as unknown as ProxmoxNode,
      close: () => {
        this.told.push(`close ${name}${how}`);
        return Promise.resolve();
      },
    };
  }

  /** A route that answers as each node's name says: a node's name, or why it fails. */
  route(how: string, answers: Record<string, string[]>): Route {
    return {
      how,
      open: (target) => {
        const answer = answers[target.name]?.shift() ?? "no answer";
        if (answer.includes(" ")) return Promise.reject(new UserError("unreachable", answer));
        return Promise.resolve(this.reached(answer, ` ${how}`));
      },
    };
  }

  nodes(...routes: Route[]): RoutedNodes {
    return new RoutedNodes(this.reached("pve1"), routes);
  }
}

async function refusal(call: Promise<unknown>): Promise<string> {
  const error = await call.then(() => undefined, (error: unknown) => error);
  assert.ok(error instanceof UserError && error.kind === "unreachable", `not a refusal: ${error}`);
  return messageOf(error);
}

Deno.test("node() answers the entry node itself without opening anything", async () => {
  const bed = new Bed();
  const nodes = bed.nodes();
  assert.equal(await nodes.node("pve1"), nodes.entry);
  assert.deepEqual(bed.told, ["open pve1"]);
});

Deno.test("node() opens a node once, also when it is asked for twice at the same time", async () => {
  const bed = new Bed();
  const nodes = bed.nodes(bed.route("at", { pve2: ["pve2"] }));
  const [first, second] = await Promise.all([nodes.node("pve2"), nodes.node("pve2")]);
  assert.equal(first, second);
  assert.equal(await nodes.node("pve2"), first);
  assert.deepEqual(bed.told, ["open pve1", "open pve2 at"]);
});

Deno.test("node() takes the next route when one fails", async () => {
  const bed = new Bed();
  const nodes = bed.nodes(bed.route("at", { pve2: ["no key fits"] }), bed.route("via", { pve2: ["pve2"] }));
  assert.equal((await nodes.node("pve2")).name, "pve2");
  assert.deepEqual(bed.told, ["open pve1", "open pve2 via"]);
});

Deno.test("node() tells why each route failed, and tries again when asked again", async () => {
  const bed = new Bed();
  const nodes = bed.nodes(
    bed.route("at", { pve2: ["no key fits", "pve2"] }),
    bed.route("via", { pve2: ["no route"] }),
  );
  assert.equal(
    await refusal(nodes.node("pve2")),
    'Cannot reach node "pve2": at: no key fits; via: no route',
  );
  assert.equal((await nodes.node("pve2")).name, "pve2");
});

Deno.test("node() never takes another node for the wanted one", async () => {
  const bed = new Bed();
  const nodes = bed.nodes(bed.route("at", { pve2: ["pve9"] }));
  assert.match(
    await refusal(nodes.node("pve2")),
    /^Cannot reach node "pve2": at: "root@pve9" is the node "pve9"$/,
  );
  assert.deepEqual(bed.told, ["open pve1", "open pve9 at", "close pve9 at"]);
});

Deno.test("node() goes another way where an address leads to another node", async () => {
  const bed = new Bed();
  const nodes = bed.nodes(bed.route("at", { pve2: ["pve9"] }), bed.route("via", { pve2: ["pve2"] }));
  assert.equal((await nodes.node("pve2")).name, "pve2");
  assert.deepEqual(bed.told, ["open pve1", "open pve9 at", "close pve9 at", "open pve2 via"]);
});

Deno.test("node() does not even try a node that is offline or unknown", async () => {
  const bed = new Bed();
  const nodes = bed.nodes(bed.route("at", { pve3: ["pve3"], pve4: ["pve4"] }));
  assert.match(
    await refusal(nodes.node("pve3")),
    /^Cannot reach node "pve3": node "pve1" reports it as offline/,
  );
  assert.match(await refusal(nodes.node("pve4")), /^Cannot reach node "pve4": .* knows no such node/);
  assert.deepEqual(bed.told, ["open pve1"]);
});

Deno.test("close() lets go of every node, also of one that is still being opened", async () => {
  const bed = new Bed();
  const nodes = bed.nodes(bed.route("at", { pve2: ["pve2"] }));
  const opening = nodes.node("pve2");
  await nodes.close();
  await opening;
  assert.deepEqual(bed.told, ["open pve1", "open pve2 at", "close pve2 at", "close pve1"]);
});
