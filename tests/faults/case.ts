/** What a row of the fault table is; importable without running anything. */
import type { Bed, Running } from "../cli/harness.ts";
import type { SimOptions } from "../pve/mod.ts";
import type { FailingDisk, SmallDisk } from "./disks.ts";

/** How a guest is expected to be found afterwards. */
export interface GuestAfter {
  /** Run state, or `gone`; default: as before. */
  status?: string;
  /** Its disks are not those of before, or nobody knows: default is that every byte is. */
  changed?: true;
  /** A lock that stays; default: none. */
  lock?: string;
}

/** What the report must say of a guest. */
export interface Verdict {
  outcome: string;
  /** Its error, or its first warning where the outcome is good. */
  says?: RegExp;
}

/** A clock that is wrong, for the binary and for the tools of the node. */
export interface WrongClock {
  /** How it differs from the true one: `-1h`, `+10y`. */
  by: string;
  /** The tool, or subcommand of one, that runs when it is set; absent: it was before. */
  during?: string;
}

/**
 * One fault, the command line it is met with, and all that must be true afterwards. What the row does not name must
 * be as before: guests, their disks, their state, other people's files.
 */
export interface FaultCase {
  name: string;
  /** What goes wrong, in the words of the tool where it has any. */
  origin: string;
  node: SimOptions;
  /** The guests were backed up before with these flags. The directory is `STORE`, its snapshot `SNAPSHOT`. */
  backedUp?: string[];
  /** Brings the fault about, after the backup. What it returns is disposed at the end. */
  setUp?: (bed: Bed) => Disposable | void | Promise<Disposable | void>;
  /** `STORE`, `SNAPSHOT`, `DUMPS` (the dump directory) and `NODE` (the simulated node's own) are filled in. */
  args: string[];
  env?: Record<string, string>;
  smallDisk?: SmallDisk;
  failingDisk?: FailingDisk;
  /** The second half of the snapshot's one archive cannot be read from its disk. Needs root. */
  unreadable?: true;
  /** KiB of the largest file that can be written. */
  largestFile?: number;
  clock?: WrongClock;
  /** Run as somebody who is not root and owns all files of the case. Needs root. */
  isUser?: true;
  /** What happens while it runs. */
  meanwhile?: (bed: Bed, running: Running) => Promise<void>;
  /** Expected exit status. */
  status: number;
  /** Expected on stderr. */
  says?: RegExp;
  /** Expected verdict per guest; absent: nothing is begun, so there is no report. */
  report?: Record<number, Verdict>;
  /** The snapshot has no report. */
  incomplete?: true;
  /** Status of `verify` over the archives called good; default: 0. */
  verify?: number;
  /** Guests that are not as before. */
  guests?: Record<number, GuestAfter>;
  /** The outcome in words, for the table. */
  outcome: string;
}

/** A group of cases, a chapter of the document. */
export interface FaultGroup {
  title: string;
  cases: readonly FaultCase[];
}

/** Waits until `condition` holds; throws after some seconds. */
export async function eventually(
  what: string,
  condition: () => boolean | Promise<boolean>,
  seconds = 30,
): Promise<void> {
  const deadline = Date.now() + seconds * 1000;
  while (!await condition()) {
    if (Date.now() > deadline) throw new Error(`not so after ${seconds} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
}
