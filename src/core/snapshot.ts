import { z } from "zod";

/** Version of the manifest's and the report's form; a newer one is not read. */
export const FORM_VERSION = 1;

const kind = z.enum(["qemu", "lxc"]);

/** Something that a backup of a guest does not hold, and why. */
const notHeld = z.object({
  /** Config key or snapshot name. */
  key: z.string(),
  what: z.string(),
  reason: z.string(),
});

const manifestGuest = z.object({
  vmid: z.number(),
  kind,
  node: z.string(),
  name: z.string().optional(),
  status: z.string(),
  template: z.boolean(),
  pool: z.string().optional(),
  tags: z.array(z.string()),
  /** The configuration in force at the start; absent when it could not be read. */
  config: z.record(z.string(), z.string()).optional(),
  notHeld: z.array(notHeld),
});

/** A node of the cluster; what only the node itself tells is there for those that guests are dumped on. */
const manifestNode = z.object({
  name: z.string(),
  online: z.boolean(),
  release: z.string().optional(),
  /** The node's own defaults for vzdump, in force where no option replaces them. */
  vzdumpConf: z.record(z.string(), z.string()).optional(),
  /** Why nothing can be dumped on it. */
  error: z.string().optional(),
});

/** What the cluster looked like and what was asked for, written before the first dump. */
export const manifestSchema = z.object({
  version: z.literal(FORM_VERSION),
  /** Unguessable id of the run. */
  run: z.string(),
  /** ISO 8601, UTC. */
  started: z.string(),
  program: z.string(),
  /** The node by which the cluster was entered, and its release. */
  node: z.string(),
  cluster: z.string().optional(),
  release: z.string(),
  nodes: z.array(manifestNode),
  /** The options in force, text by key; no secrets. */
  options: z.record(z.string(), z.unknown()),
  guests: z.array(manifestGuest),
});

/** What is known of one archive that was taken whole. */
export const archiveRecordSchema = z.object({
  /** Base name of the archive. */
  name: z.string(),
  vmid: z.number(),
  kind,
  bytes: z.number(),
  /** Lower-case hex. */
  sha256: z.string().regex(/^[0-9a-f]{64}$/).optional(),
  compression: z.enum(["none", "gzip", "lzo", "zstd", "bzip2"]),
  /** What was checked: `contents` down to VMA or tar, `frames` the compression's own frames only. */
  checked: z.enum(["contents", "frames"]),
  disks: z.array(z.object({ key: z.string(), size: z.number(), storage: z.string().optional() })).optional(),
});

const guestReport = z.object({
  vmid: z.number(),
  kind: kind.optional(),
  node: z.string().optional(),
  name: z.string().optional(),
  /** `left-out`: chosen, but not tried, for a reason that is told. `not-started`: the run ended before. */
  outcome: z.enum(["good", "failed", "left-out", "not-started"]),
  error: z.string().optional(),
  archive: archiveRecordSchema.optional(),
  bytes: z.number(),
  seconds: z.number(),
  warnings: z.array(z.string()),
  notHeld: z.array(notHeld),
  /** The last of vzdump's log. */
  log: z.string().optional(),
});

/** What happened, written last: it closes the run. */
export const reportSchema = z.object({
  version: z.literal(FORM_VERSION),
  run: z.string(),
  started: z.string(),
  finished: z.string(),
  outcome: z.enum(["good", "partial", "failed", "interrupted"]),
  guests: z.array(guestReport),
  notes: z.array(z.string()),
});

/** Where a guest was when it was dumped, as far as the manifest tells: its pool, and its node's Proxmox VE release. */
export function homeOf(
  { guests, nodes, node, release }: Manifest,
  vmid: number,
): { pool?: string; release?: string } {
  const guest = guests.find((entry) => entry.vmid === vmid);
  const ran = guest?.node === node ? release : nodes.find(({ name }) => name === guest?.node)?.release;
  return {
    ...(guest?.pool === undefined ? {} : { pool: guest.pool }),
    ...(ran === undefined ? {} : { release: ran }),
  };
}

export type NotHeld = z.infer<typeof notHeld>;
export type ManifestNode = z.infer<typeof manifestNode>;
export type ManifestGuest = z.infer<typeof manifestGuest>;
export type Manifest = z.infer<typeof manifestSchema>;
export type ArchiveRecord = z.infer<typeof archiveRecordSchema>;
export type GuestReport = z.infer<typeof guestReport>;
export type Report = z.infer<typeof reportSchema>;
