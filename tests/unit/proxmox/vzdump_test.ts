import assert from "node:assert/strict";
import { parseRelease } from "../../../src/proxmox/release.ts";
import {
  type DumpSettings,
  gotLock,
  lastError,
  percentOf,
  requireSupported,
  vzdumpArgv,
  waitsForLock,
} from "../../../src/proxmox/vzdump.ts";
import { complaints, RELEASES } from "./pve_options.ts";

const SETTINGS: DumpSettings = {
  mode: "snapshot",
  compress: "zstd",
  notify: "off",
  hooks: true,
  lockwait: 180,
};
const DIR = "/var/lib/vz/dump/plakar-proxmox-0123/101";

/** The options of a vzdump call by name. */
function optionsOf(
  given: Partial<DumpSettings>,
  { release = "8.4", kind = "qemu" as "qemu" | "lxc", target = "stdout" as "stdout" | "file" } = {},
): Record<string, string> {
  const argv = vzdumpArgv({ vmid: 101, kind }, { ...SETTINGS, ...given }, parseRelease(release), DIR, target);
  assert.deepEqual(argv.slice(0, 2), ["vzdump", "101"]);
  const pairs: [string, string][] = [];
  for (let index = 2; index < argv.length; index += 2) {
    assert.match(argv[index] ?? "", /^--[a-z-]+$/);
    pairs.push([argv[index]!.slice(2), argv[index + 1] ?? assert.fail("a flag without a value")]);
  }
  return Object.fromEntries(pairs);
}

Deno.test("vzdumpArgv() gives nothing but what must be forced, so that vzdump.conf decides the rest", () => {
  assert.deepEqual(optionsOf({}), {
    mode: "snapshot",
    compress: "zstd",
    dumpdir: DIR,
    stdout: "1",
    "prune-backups": "keep-all=1",
    lockwait: "180",
    mailto: "",
    "notification-mode": "legacy-sendmail",
  });
});

Deno.test("vzdumpArgv() writes a file into the same directory without --stdout", () => {
  const { stdout, dumpdir } = optionsOf({}, { target: "file" });
  assert.deepEqual([stdout, dumpdir], [undefined, DIR]);
});

Deno.test("vzdumpArgv() silences notifications in each release's own way, and not when they are wanted", () => {
  const silenceOf = (release: string, notify: "off" | "pve" = "off") => {
    const { mailto, ...options } = optionsOf({ notify }, { release });
    return [mailto, options["notification-policy"], options["notification-mode"]];
  };
  assert.deepEqual(silenceOf("7.4-3"), ["", undefined, undefined]);
  assert.deepEqual(silenceOf("8.0.4"), ["", "never", undefined]);
  assert.deepEqual(silenceOf("8.1.3"), ["", undefined, "legacy-sendmail"]);
  assert.deepEqual(silenceOf("9.1"), ["", undefined, "legacy-sendmail"]);
  for (const release of ["7.4", "8.0", "9.1"]) {
    assert.deepEqual(silenceOf(release, "pve"), [undefined, undefined, undefined]);
  }
});

Deno.test("vzdumpArgv() passes on what was set", () => {
  const settings = {
    bwlimit: 0,
    ionice: 8,
    tmpdir: "/tmp/x",
    zstdThreads: 0,
    hooks: false,
    fleecing: "fast",
  };
  const options = optionsOf(settings);
  assert.equal(options.bwlimit, "0");
  assert.equal(options.ionice, "8");
  assert.equal(options.tmpdir, "/tmp/x");
  assert.equal(options.zstd, "0");
  assert.equal(options.script, "/bin/true");
  assert.equal(options.fleecing, "enabled=1,storage=fast");
});

Deno.test("vzdumpArgv() gives zstd threads only for zstd, and fleecing only for VMs", () => {
  assert.equal(optionsOf({ compress: "gzip", zstdThreads: 4 }).zstd, undefined);
  assert.equal(optionsOf({ fleecing: "fast" }, { kind: "lxc" }).fleecing, undefined);
});

Deno.test("vzdumpArgv() builds nothing that a release refuses", () => {
  const extremes: Partial<DumpSettings>[] = [
    {},
    { bwlimit: 0, ionice: 0, zstdThreads: 0, lockwait: 0, tmpdir: "/", hooks: false },
    { bwlimit: 2 ** 31, ionice: 8, zstdThreads: 1024, lockwait: 10_080, hooks: false, notify: "pve" },
  ];
  const compressions = ["0", "1", "lzo", "gzip", "zstd"] as const;
  for (const release of RELEASES) {
    for (const given of extremes) {
      for (const [index, compress] of compressions.entries()) {
        for (const kind of ["qemu", "lxc"] as const) {
          const mode = (["snapshot", "suspend", "stop"] as const)[index % 3]!;
          const settings = { ...SETTINGS, ...given, compress, mode };
          for (const target of ["stdout", "file"] as const) {
            const argv = vzdumpArgv(
              { vmid: 999_999_999, kind },
              settings,
              parseRelease(release),
              DIR,
              target,
            );
            assert.deepEqual(complaints(release, argv), [], `${release}: ${argv.join(" ")}`);
          }
        }
      }
    }
  }
});

Deno.test("requireSupported() lets fleecing pass where vzdump has it, and nowhere else", () => {
  for (const text of RELEASES) {
    const settings = { ...SETTINGS, fleecing: "fast" };
    const release = parseRelease(text);
    const argv = vzdumpArgv({ vmid: 101, kind: "qemu" }, settings, release, DIR, "stdout");
    requireSupported(SETTINGS, release);
    if (complaints(text, argv).length === 0) requireSupported(settings, release);
    else {
      assert.throws(() => requireSupported(settings, release), {
        kind: "usage",
        message: `Cannot use fleecing: the node has Proxmox VE ${text}`,
      });
    }
  }
});

Deno.test("percentOf() reads vzdump's progress lines only", () => {
  assert.equal(percentOf("INFO:   3% (1.2 GiB of 32.0 GiB) in 3s, read: 400.0 MiB/s, write: 380.1 MiB/s"), 3);
  assert.equal(percentOf("INFO: 100% (32.0 GiB of 32.0 GiB) in 1m 25s, read: 1 B/s, write: 1 B/s"), 100);
  assert.equal(percentOf("INFO: backup is sparse: 12.34 GiB (38%) total zero data"), undefined);
  assert.equal(percentOf("INFO: VM Name: 50% (off)"), undefined);
  assert.equal(percentOf(""), undefined);
});

Deno.test("waitsForLock() and gotLock() tell the wait for the node's vzdump lock", () => {
  assert.ok(waitsForLock("INFO: trying to get global lock - waiting..."));
  assert.ok(gotLock("INFO: got global lock"));
  assert.ok(!waitsForLock("INFO: got global lock"));
  assert.ok(!gotLock("INFO: trying to get global lock - waiting..."));
});

Deno.test("lastError() gives the reason of the guest, not the sum at the end", () => {
  const log = [
    "INFO: Starting Backup of VM 101 (qemu)",
    "ERROR: Backup of VM 101 failed - VM is locked (backup)",
    "INFO: Failed at 2025-01-31 12:00:02",
    "INFO: Backup job finished with errors",
    "job errors",
    "",
  ];
  assert.equal(lastError(log.join("\n")), "VM is locked (backup)");
});

Deno.test("lastError() knows the lock that is not had, an interrupt, and a job that is refused", () => {
  const lock = "ERROR: can't acquire lock '/var/run/vzdump.lock' - got timeout";
  assert.equal(lastError(`${lock}\ngot unexpected control message:  `), lock.slice("ERROR: ".length));
  assert.equal(
    lastError("ERROR: Backup job failed - interrupted by signal\ninterrupted by signal\n"),
    "interrupted by signal",
  );
  assert.equal(lastError("dumpdir '/x' does not exist\n"), "dumpdir '/x' does not exist");
});

Deno.test("lastError() says nothing of an empty log", () => {
  assert.equal(lastError(""), undefined);
  assert.equal(lastError(" \n\n"), undefined);
});
