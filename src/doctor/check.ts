import type { Guest } from "../core/guest.ts";
import type { ProxmoxNode } from "../proxmox/cluster.ts";
import type { Sighting } from "./finding.ts";

/** What a check of one node looks at. */
export interface Patient {
  node: ProxmoxNode;
  /** The node's own defaults for vzdump. */
  vzdumpConf: Readonly<Record<string, string>>;
  /** Directory for working files. */
  dumpDir: string;
  /** vzdump's directory for temporary files, where an option names one. */
  tmpdir?: string | undefined;
  /** The guests of this node. */
  guests: readonly Guest[];
  now: () => Date;
}

/** One thing to look at on a node. Changes nothing there. */
export interface NodeCheck {
  name: string;
  /** Answers what it saw; a rejection becomes a finding. */
  look(patient: Patient): Promise<Sighting[]>;
}
