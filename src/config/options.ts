import {
  absolutePath,
  exclusions,
  flag,
  integer,
  list,
  newVmid,
  oneOf,
  STORAGE_ID,
  storageMap,
  text,
  type ValueKind,
  vmids,
  type VmidSelection,
} from "./kinds.ts";
import { reach } from "./reach_options.ts";
import type { OptionSpec } from "./spec.ts";

const NODE_NAME = { is: /^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?$/, must: "must be a node name" };
const POOL_NAME = {
  is: /^[A-Za-z0-9._-]+(\/[A-Za-z0-9._-]+){0,2}$/,
  must: 'must be a pool name; nested pools are written "parent/child"',
};

/** Where on a node the work happens. */
const work = {
  dump_dir: {
    kind: absolutePath(),
    default: "/var/lib/vz/dump",
    text:
      "directory on the node for working files; everything goes into a directory of its own in there, which is removed at the end",
  },
} as const satisfies Record<string, OptionSpec>;

/** Which guests a backup takes: exactly one of the first five, narrowed by the others. */
const select = {
  vmid: {
    kind: vmids(),
    text: "guests by vmid; a listed one that is missing fails, a range takes what exists",
  },
  pool: { kind: list("POOL"), text: "guests of these pools and of the pools nested in them" },
  tag: { kind: list("TAG"), text: "guests that carry one of these tags" },
  name: { kind: list("GLOB"), text: "guests whose name matches; * and ? stand for other characters" },
  all: { kind: flag(), text: "all guests of the node, or of all nodes (see node)" },
  exclude: { kind: exclusions(), text: "leave out guests by vmid, range, name (glob) or tag" },
  node: {
    kind: text("NODE", NODE_NAME),
    text:
      "only guests of the node of this name; all = every node of the cluster; without it all=true takes the guests of this node, or of every node where location is another machine",
  },
  kind: { kind: oneOf("qemu", "lxc"), text: "only VMs (qemu) or only containers (lxc)" },
  status: { kind: oneOf("running", "stopped"), text: "only guests in this state" },
  templates: { kind: flag(), default: "true", text: "false leaves templates out" },
} as const satisfies Record<string, OptionSpec>;

/** How vzdump runs, and what becomes of failures. */
const dump = {
  backup_mode: {
    kind: oneOf("snapshot", "suspend", "stop"),
    default: "snapshot",
    text: "how a running guest is held consistent",
  },
  backup_compression: {
    kind: oneOf("0", "1", "lzo", "gzip", "zstd"),
    default: "zstd",
    text: "compression of the archive: 0 = none, 1 = lzo",
  },
  backup_method: {
    kind: oneOf("auto", "stream", "file"),
    default: "auto",
    text:
      "stream the dump, or let vzdump write a file under dump_dir first; auto = stream, file only where vzdump cannot stream",
  },
  bwlimit: { kind: integer(0, 2 ** 31, "KIB/S"), text: "limit of the transfer in KiB/s, 0 = none" },
  ionice: { kind: integer(0, 8), text: "I/O priority of vzdump, 0 (highest) to 7, 8 = idle" },
  zstd_threads: { kind: integer(0, 1024), text: "threads of zstd, 0 = half of the cores" },
  fleecing: {
    kind: text("STORAGE", STORAGE_ID),
    text: "storage for fleecing images (Proxmox VE 8.2 and later, VMs only)",
  },
  lockwait: {
    kind: integer(0, 10_080, "MINUTES"),
    default: "180",
    text: "minutes to wait for another vzdump on the node",
  },
  stall_timeout: {
    kind: integer(1, 86_400, "SECONDS"),
    default: "600",
    text: "seconds without a byte taken by the target until the dump is ended and the guest freed",
  },
  hooks: { kind: flag(), default: "true", text: "run the hook script of /etc/vzdump.conf" },
  notify: {
    kind: oneOf("off", "pve"),
    default: "off",
    text: "off: vzdump sends no notification; pve: as the node is set up, one per guest",
  },
  tmpdir: { kind: absolutePath(), text: "vzdump's directory for temporary files" },
  cleanup: {
    kind: flag(),
    default: "true",
    text: "false keeps an archive that backup_method=file wrote: it is moved up into dump_dir",
  },
  on_error: {
    kind: oneOf("continue", "fail"),
    default: "continue",
    text: "go on with the next guest after a failure, or fail the run",
  },
} as const satisfies Record<string, OptionSpec>;

/** Where vzdump puts what does not go into dump_dir. */
const temporary = { tmpdir: dump.tmpdir } as const satisfies Record<string, OptionSpec>;

/** What a restore does to which guest. */
const guestRestore = {
  newid: { kind: newVmid(), text: "restore under this vmid; next = the next free one" },
  newid_offset: {
    kind: integer(1, 999_999_899),
    text: "restore each guest under its own vmid plus this number; not together with newid",
  },
  node: {
    kind: text("NODE", NODE_NAME),
    text:
      "node that new guests are restored on, by default the one to start from; a guest that stands there already is restored where it lives",
  },
  storage: {
    kind: storageMap(),
    text:
      "storage for all disks, or for each of them: scsi0=fast,rootfs=big, with one for the others: fast,scsi1=slow; a disk without one goes where it came from, a container's volumes all to one storage if none is named",
  },
  pool: {
    kind: text("POOL", POOL_NAME),
    text: "put the guest into this pool; without it, a guest that is created goes to the pool it was in",
  },
  if_exists: {
    kind: oneOf("refuse", "replace-same", "replace-stopped", "replace", "keep-copy"),
    default: "refuse",
    text:
      "when the target vmid is taken: refuse; replace-same: stop and replace the same guest only; replace-stopped: the same guest, only if it is stopped; replace: whoever stands there; keep-copy: as replace, after a full copy of that guest to a free vmid",
  },
  destroy_excluded: {
    kind: flag(),
    default: "false",
    text: "allow a replace that destroys volumes or snapshots which the archive does not hold",
  },
  start: {
    kind: oneOf("as-before", "always", "never"),
    default: "as-before",
    text: "start the restored guest; as-before: if the replaced one was running",
  },
  shutdown_timeout: {
    kind: integer(1, 86_400, "SECONDS"),
    default: "60",
    text: "seconds for a clean shutdown of the guest to replace, then it is stopped hard",
  },
  unique: {
    kind: oneOf("auto", "true", "false"),
    default: "auto",
    text: "give new MAC addresses; auto: when the original guest still stands under another vmid",
  },
  restore_method: {
    kind: oneOf("staged", "stream", "auto"),
    default: "staged",
    text:
      "staged: bring the whole archive onto the node and check it before anything is touched; stream: feed it to the restore tool as it comes, without staging space, which destroys what stands there before the archive's end was seen, and so does it only where if_exists is given as well; auto: stream where staging space is short and the vmid is free, else staged",
  },
  bwlimit: { kind: integer(0, 2 ** 31, "KIB/S"), text: "limit of the restore in KiB/s, 0 = none" },
  cleanup: { kind: flag(), default: "true", text: "false keeps the staged archive" },
  dry_run: { kind: flag(), default: "false", text: "print the plan and change nothing" },
} as const satisfies Record<string, OptionSpec>;

/** What a restore test takes of that: where its guests go. */
const testedRestore = {
  node: guestRestore.node,
  storage: guestRestore.storage,
  bwlimit: guestRestore.bwlimit,
} as const satisfies Record<string, OptionSpec>;

/** How long a restore test waits. */
const proof = {
  timeout: {
    kind: integer(1, 86_400, "SECONDS"),
    default: "300",
    text:
      "of a restore test: seconds for the started guest to answer; one that only keeps running until then is started, not proven",
  },
} as const satisfies Record<string, OptionSpec>;

/** Which archives a restore takes. */
const choose = {
  vmid: { kind: vmids(), text: "guests to restore, by the vmid in the archive" },
  all: { kind: flag(), text: "every guest in the source" },
} as const satisfies Record<string, OptionSpec>;

/** Which archives `list` and `verify` show; without it all. */
const narrow = {
  vmid: { kind: vmids(), text: "only archives of these guests" },
} as const satisfies Record<string, OptionSpec>;

/** What a snapshot in plakar looks like. */
const snapshot = {
  layout: {
    kind: oneOf("flat", "tree"),
    default: "flat",
    text:
      "flat: archives at the root; tree: /backup/TYPE/VMID_NAME/, with configuration and pool beside each",
  },
  sidecars: {
    kind: flag(),
    default: "true",
    text: "false leaves manifest and report out of the snapshot",
  },
} as const satisfies Record<string, OptionSpec>;

/** What becomes of archives that plakar restores. */
const destination = {
  restore_to: {
    kind: oneOf("guest", "files"),
    default: "guest",
    text: "guest: restore the guests; files: write the archives into dump_dir and touch no guest",
  },
  protected: {
    kind: flag(),
    default: "false",
    text: "with restore_to=files: protect each archive from Proxmox's pruning",
  },
  restore_test: {
    kind: flag(),
    default: "false",
    text:
      "test each archive instead of restoring it: it goes to a free vmid, is cut off from all around it, started, asked and removed again; no other guest is touched",
  },
} as const satisfies Record<string, OptionSpec>;

/**
 * Options of `guests`, of `backup`, of `restore`, of `restore-test`, of `list` and `verify` (`store`), of `doctor`, of `cleanup`, and of
 * both plakar services, by group, in the order of help and tables.
 */
export const OPTION_GROUPS = {
  guests: { select, reach },
  backup: { select, dump, work, reach },
  restore: { choose, guestRestore, work, reach },
  restore_test: { choose, testedRestore, proof, work, reach },
  store: { narrow },
  doctor: { work, temporary, reach },
  cleanup: { work, reach },
  importer: { select, dump, snapshot, work, reach },
  exporter: { guestRestore, destination, proof, work, reach },
} as const;

export type Side = keyof typeof OPTION_GROUPS;

export const OPTIONS = {
  guests: { ...select, ...reach },
  backup: { ...select, ...dump, ...work, ...reach },
  restore: { ...choose, ...guestRestore, ...work, ...reach },
  restore_test: { ...choose, ...testedRestore, ...proof, ...work, ...reach },
  store: { ...narrow },
  doctor: { ...work, ...temporary, ...reach },
  cleanup: { ...work, ...reach },
  importer: { ...select, ...dump, ...snapshot, ...work, ...reach },
  exporter: { ...guestRestore, ...destination, ...proof, ...work, ...reach },
} as const;

type ValueOf<S> = S extends { kind: ValueKind<infer T> } ? (S extends { default: string } ? T : T | undefined)
  : never;

/** The validated values of a table: unset options are `undefined`. */
export type OptionValues<T> = { [K in keyof T]: ValueOf<T[K]> };

export type ReachOptions = OptionValues<typeof reach>;
export type GuestsOptions = OptionValues<typeof OPTIONS.guests>;
export type BackupOptions = OptionValues<typeof OPTIONS.backup>;
export type ImporterOptions = OptionValues<typeof OPTIONS.importer>;
export type ExporterOptions = OptionValues<typeof OPTIONS.exporter>;
export type DoctorOptions = OptionValues<typeof OPTIONS.doctor>;
export type CleanupOptions = OptionValues<typeof OPTIONS.cleanup>;
export type RestoreTestOptions = OptionValues<typeof OPTIONS.restore_test>;
export type RestoreOptions = OptionValues<typeof OPTIONS.restore>;
export type { OptionSpec, VmidSelection };
