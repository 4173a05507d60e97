import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import type { GuestSpec } from "../../pve/mod.ts";
import { bytesBelow, CT, streamed, VM, volumesOf } from "./stream_bed.ts";

for (const compress of ["0", "gzip", "lzo", "zstd"]) {
  Deno.test(`restore() streams a VM from --compress ${compress}, and stages nothing`, async () => {
    let most = 0;
    const { sim, entry, argv } = await streamed({
      guest: VM,
      compress,
      listen: (event, sim) => {
        if (event.type === "bytes") most = Math.max(most, bytesBelow(sim.dumpDir));
      },
    });
    await using _ = sim;
    assert.deepEqual([entry.outcome, entry.error], ["good", undefined]);
    assert.deepEqual(argv?.slice(0, 2), ["-", "900"]);
    assert.ok(!argv?.includes("--force"));
    for (const key of ["scsi0", "scsi1"]) assert.equal(sim.sha256(900, key), sim.sha256(101, key));
    assert.equal(sim.guest(900)?.firewall, VM.firewall);
    assert.equal(sim.guest(900)?.lock, undefined);
    assert.ok(
      most < 1024,
      `${most} bytes stood in dump_dir: no more than the two lines of a note are wanted`,
    );
  });

  Deno.test(`restore() streams a container from --compress ${compress}, with all that its configuration asks for`, async () => {
    const { sim, entry, argv } = await streamed({ guest: CT, compress });
    await using _ = sim;
    assert.deepEqual([entry.outcome, entry.error], ["good", undefined]);
    assert.deepEqual(argv?.slice(0, 3), ["restore", "900", "-"]);
    const { entries = {} } = sim.guest(900) ?? {};
    assert.match(entries.rootfs ?? "", /^fast:[^,]+,acl=1,size=1G$/);
    assert.match(entries.mp0 ?? "", /^fast:[^,]+,mp=\/data,backup=1,mountoptions=noatime,size=1G$/);
    assert.deepEqual([entries.mp2, entries.unprivileged], [CT.config?.mp2, "1"]);
    assert.equal(sim.sha256(900, "mp0"), sim.sha256(105, "mp0"));
    const [program, streamedProgram] = [105, 900].map((vmid) =>
      Deno.readFileSync(`${sim.volume(vmid, "rootfs").path}/usr/bin/app`)
    );
    assert.deepEqual(streamedProgram, program);
  });
}

Deno.test("restore() streams a privileged container as one", async () => {
  const { sim, entry, argv } = await streamed({ guest: { ...CT, unprivileged: false } });
  await using _ = sim;
  assert.equal(entry.outcome, "good");
  assert.ok(!argv?.includes("--unprivileged"), argv?.join(" "));
  assert.equal(sim.guest(900)?.entries.unprivileged, undefined);
});

Deno.test("restore() streams onto the storages that were asked for", async () => {
  const storage = { others: "big", disks: { scsi1: "slow", mp0: "slow" } };
  for (const guest of [VM, CT]) {
    const { sim, entry, argv } = await streamed({ guest, compress: "zstd", settings: { storage } });
    await using _ = sim;
    assert.deepEqual([entry.outcome, entry.error], ["good", undefined]);
    const [first, second] = guest === VM ? ["scsi0", "scsi1"] : ["rootfs", "mp0"];
    const on = (key: string) => sim.guest(900)?.entries[key]?.split(":")[0];
    assert.deepEqual([on(first!), on(second!)], ["big", "slow"]);
    assert.ok(!argv?.includes("--storage"));
  }
  const others = await streamed({ guest: CT, settings: { storage: { others: "big", disks: {} } } });
  await using _ = others.sim;
  assert.match(others.sim.guest(900)?.entries.mp0 ?? "", /^big:.*backup=1/);
});

const size = (bytes: Uint8Array) => bytes.byteLength;
/** Where the zeros at the end of a tar begin: its end mark and padding. */
const endMark = (bytes: Uint8Array) => Math.ceil((bytes.findLastIndex((byte) => byte !== 0) + 1) / 512) * 512;
const cuts: [what: string, cut: (bytes: Uint8Array) => Uint8Array][] = [
  ["inside of its data", (bytes) => bytes.subarray(0, size(bytes) * 0.6)],
  ["before its end", (bytes) => bytes.subarray(0, Math.min(size(bytes) - 1, endMark(bytes)))],
  ["right behind its head", (bytes) => bytes.subarray(0, Math.min(20480, size(bytes) - 1))],
];

/** A VM's tool waits for the end of its input; tar may have seen its end mark before and need no such word. */
function assertKilled({ kind }: GuestSpec, exit: number | null | undefined): void {
  if (kind !== "lxc") assert.equal(exit, 255, "the tool was told that a part is the whole");
}

for (const guest of [VM, CT]) {
  const label = guest.kind === "lxc" ? "container" : "VM";
  for (const compress of ["0", "zstd"]) {
    for (const [what, change] of cuts) {
      if (compress === "zstd" && what === "right behind its head") continue;
      Deno.test(`restore() removes what it streamed of a ${label} (--compress ${compress}) that was cut ${what}`, async () => {
        const { sim, entry, report, argv, exit } = await streamed({ guest, compress, change });
        await using _ = sim;
        if (argv) assertKilled(guest, exit);
        assert.deepEqual([report.outcome, entry.outcome, entry.damaged], ["failed", "failed", true]);
        assert.match(entry.error ?? "", /^Cannot restore (VM|CT) 900: .*(cut|damaged|decompress|zstd)/);
        assert.match(
          entry.error ?? "",
          /; (nothing was (changed|left behind)|the (empty )?guest .* was removed)$/,
        );
        assert.equal(sim.guest(900), undefined);
        assert.deepEqual(volumesOf(sim, 900), []);
        assert.ok(sim.guest(guest.vmid), "the original is nobody's to touch");
      });
    }
  }

  Deno.test(`restore() removes what it streamed of a ${label} whose source fails`, async () => {
    const { sim, entry } = await streamed({
      guest,
      source: { failAt: 100_000, error: new Error("no more") },
    });
    await using _ = sim;
    assert.match(entry.error ?? "", /^Cannot restore (VM|CT) 900: no more; /);
    assert.deepEqual([sim.guest(900), volumesOf(sim, 900)], [undefined, []]);
  });

  Deno.test(`restore() does not start the tool on a ${label} whose beginning is damaged`, async () => {
    for (const at of [0, 257, 300]) {
      const change = (bytes: Uint8Array) => bytes.map((byte, index) => index === at ? byte ^ 1 : byte);
      const { sim, entry, argv } = await streamed({ guest, change });
      await using _ = sim;
      if (entry.outcome === "good") assert.equal(label, "container", "a tar has no checksum everywhere");
      else assert.match(entry.error ?? "", /; nothing was changed$/);
      if (entry.outcome !== "good") assert.equal(argv, undefined);
    }
  });

  Deno.test(`restore() removes a streamed ${label} that is whole but not what was recorded`, async () => {
    const { sim, entry, exit } = await streamed({ guest, sha256: () => "0".repeat(64) });
    await using _ = sim;
    assertKilled(guest, exit);
    assert.match(entry.error ?? "", /has sha256 .* was recorded/);
    assert.deepEqual([entry.damaged, sim.guest(900), volumesOf(sim, 900)], [true, undefined, []]);
  });

  Deno.test(`restore() streams a ${label} whose sha256 was recorded`, async () => {
    const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
    const { sim, entry } = await streamed({ guest, compress: "zstd", sha256 });
    await using _ = sim;
    assert.deepEqual([entry.outcome, entry.error], ["good", undefined]);
  });

  Deno.test(`restore() tells the tool's own words when it fails in the stream of a ${label}`, async () => {
    for (const fault of ["restoreFailsBeforeDestroy", "restoreFailsAfterDestroy"] as const) {
      const { sim, entry } = await streamed({
        guest,
        meanwhile: (sim) => sim.fault(900, { [fault]: "lvcreate failed: no space in pool" }),
      });
      await using _ = sim;
      assert.match(entry.error ?? "", /^Cannot restore (VM|CT) 900: .*lvcreate failed: no space in pool; /);
      assert.deepEqual([entry.damaged, sim.guest(900), volumesOf(sim, 900)], [undefined, undefined, []]);
    }
  });

  Deno.test(`restore() ends the stream of a ${label} when the run is stopped, also while the tool hangs`, async () => {
    for (const hangs of [false, true]) {
      const stop = new AbortController();
      const reason = new Error("Interrupted by SIGINT");
      const { sim, entry, report, saved } = await streamed({
        guest,
        stop,
        meanwhile: (sim) => hangs && sim.fault(900, { restoreHangs: "after-destroy" }),
        // The archive comes slowly, so that it is not over before.
        source: { chunk: 4096, pause: () => new Promise((resolve) => setTimeout(resolve, 50)) },
        listen: (event, sim) => {
          if (event.type === "bytes" && !hangs) stop.abort(reason);
          if (event.type !== "phase" || event.text !== "restoring" || !hangs) return;
          const timer = setInterval(() => {
            if (volumesOf(sim, 900).length === 0 && sim.guest(900)?.config !== "lock: create\n") return;
            clearInterval(timer);
            stop.abort(reason);
          }, 20);
        },
      });
      await using _ = sim;
      assert.deepEqual([report.outcome, entry.outcome, entry.interrupted], ["interrupted", "failed", true]);
      assert.match(entry.error ?? "", /^Cannot restore (VM|CT) 900: Interrupted by SIGINT; /);
      assert.deepEqual([sim.guest(900), volumesOf(sim, 900)], [undefined, []]);
      assert.match(
        saved[0]?.guests[0]?.error ?? "",
        /was cut off: whether what stands there is whole is not known/,
      );
    }
  });
}

Deno.test("restore() names what it streamed and cannot remove, and leaves it locked", async () => {
  const { sim, entry } = await streamed({
    guest: VM,
    change: (bytes) => bytes.subarray(0, -1),
    planned: (node) => {
      const path = `${node.bin}/qm`;
      Deno.renameSync(path, `${path}.real`);
      const script =
        `#!/bin/sh\n[ "$1" = destroy ] && { echo "storage is gone" >&2; exit 2; }\nexec "$0.real" "$@"\n`;
      Deno.writeTextFileSync(path, script, { mode: 0o755 });
    },
  });
  await using _ = sim;
  assert.match(entry.error ?? "", /an incomplete VM 900 was left behind, locked: .*storage is gone/);
  assert.match(entry.error ?? "", /remove it with "qm unlock 900 && qm destroy 900"$/);
  assert.equal(sim.guest(900)?.lock, "create");
});

const OVER = { newid: 101, guest: VM } as const;

Deno.test("restore() does not stream over a guest unless if_exists was asked for as well", async () => {
  const { sim, entry, argv } = await streamed({ ...OVER, settings: { ifExists: "replace-same" } });
  await using _ = sim;
  assert.equal(entry.outcome, "refused");
  assert.match(
    entry.error ?? "",
    /destroys the guest that stands there before .*; pass --if-exists replace-same/,
  );
  assert.equal(argv, undefined);
});

Deno.test("restore() streams over a guest that it was asked to replace, and starts it again", async () => {
  const digests = new Map<string, string>();
  const { sim, entry, argv } = await streamed({
    newid: 101,
    guest: { ...VM, status: "running" },
    settings: { ifExists: "replace-same", isIfExistsGiven: true },
    meanwhile: (sim) => ["scsi0", "scsi1"].forEach((key) => digests.set(key, sim.sha256(101, key))),
  });
  await using _ = sim;
  assert.deepEqual([entry.outcome, entry.error], ["good", undefined]);
  assert.ok(argv?.includes("--force"));
  for (const [key, digest] of digests) assert.equal(sim.sha256(101, key), digest);
  assert.equal(sim.guest(101)?.status, "running");
  assert.equal(entry.replaced?.status, "running");
});

Deno.test("restore() says that a guest is lost whose stream over it was cut, and never starts its rest", async () => {
  const { sim, entry, saved } = await streamed({
    newid: 101,
    guest: { ...VM, status: "running" },
    settings: { ifExists: "replace-same", isIfExistsGiven: true },
    change: (bytes) => bytes.subarray(0, -1),
  });
  await using _ = sim;
  assert.match(entry.error ?? "", /; the guest that stood there is lost; its configuration is in the report/);
  assert.match(entry.replaced?.config ?? "", /^name: web$/m);
  assert.match(saved[0]?.guests[0]?.replaced?.config ?? "", /^name: web$/m);
  assert.notEqual(sim.guest(101)?.status, "running");
});

Deno.test("restore() leaves a guest running whose stream is damaged at its beginning", async () => {
  const { sim, entry } = await streamed({
    newid: 101,
    guest: { ...VM, status: "running" },
    settings: { ifExists: "replace", isIfExistsGiven: true },
    change: (bytes) => bytes.map((byte, index) => index === 300 ? byte ^ 1 : byte),
  });
  await using _ = sim;
  assert.match(entry.error ?? "", /; nothing was changed$/);
  assert.equal(sim.guest(101)?.status, "running");
  assert.ok(!sim.calls().some(({ argv }) => argv[0] === "shutdown"));
});

Deno.test("restore() refuses to stream a container that would come back as something else", async () => {
  const template = await streamed({ guest: { ...CT, template: true } });
  await using _ = template.sim;
  assert.match(template.entry.error ?? "", /no template any more; restore it with --restore-method staged$/);
});
