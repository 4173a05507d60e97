import type { Guest } from "../core/guest.ts";

/**
 * Hands out turns to work on nodes, first come, first served: one at a time on each node, since Proxmox runs one
 * vzdump per node, and on at most `most` nodes at once.
 */
export class NodeTurns {
  readonly #waiting: { node: string; begin: () => void }[] = [];
  readonly #busy = new Set<string>();

  constructor(private readonly most: number) {}

  /** Does the work when it is its turn; its failure is the caller's and holds nobody up. */
  async take<T>(node: string, work: () => Promise<T>): Promise<T> {
    await new Promise<void>((begin) => {
      this.#waiting.push({ node, begin });
      this.#handOut();
    });
    try {
      return await work();
    } finally {
      this.#busy.delete(node);
      this.#handOut();
    }
  }

  #handOut(): void {
    while (this.#busy.size < this.most) {
      const next = this.#waiting.findIndex(({ node }) => !this.#busy.has(node));
      if (next < 0) return;
      const [turn] = this.#waiting.splice(next, 1) as [{ node: string; begin: () => void }];
      this.#busy.add(turn.node);
      turn.begin();
    }
  }
}

/** The guests with those of different nodes in turn, each node's in their order. */
export function nodesInTurn(guests: readonly Guest[]): Guest[] {
  const rounds = new Map<Guest, number>();
  const counts = new Map<string, number>();
  for (const guest of guests) {
    const round = counts.get(guest.node) ?? 0;
    rounds.set(guest, round);
    counts.set(guest.node, round + 1);
  }
  return guests.toSorted((a, b) => (rounds.get(a) ?? 0) - (rounds.get(b) ?? 0));
}
