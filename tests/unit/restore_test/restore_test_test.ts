import assert from "node:assert/strict";
import { CT_CONFIG, planOf, wish } from "../restore/surroundings.ts";
import { asTest } from "../../../src/restore_test/restore_test.ts";
import { UserError } from "../../../src/core/errors.ts";
import type { WorkDir } from "../../../src/proxmox/work_dir.ts";
import { emptyResult } from "../../../src/restore_test/report.ts";
import { testGuest } from "../../../src/restore_test/test_guest.ts";
import { byPath, standInNode } from "../proxmox/node_stand_in.ts";
import { RUN_ID, tested } from "./bed.ts";

const WORK_DIR = `/var/lib/vz/dump/plakar-proxmox-${RUN_ID}-100`;

const NET = "virtio=BC:24:11:00:00:01,bridge=vmbr0,tag=7";

Deno.test("testRestores() passes a VM whose agent answers, cut off from all around it, and removes it", async () => {
  const lines = {
    agent: "1",
    args: "-device vfio-pci",
    hookscript: "local:snippets/h.pl",
    hostpci0: "0000:01:00.0",
    memory: "1024",
    net0: NET,
    onboot: "1",
    protection: "1",
    startup: "order=1",
    tags: "prod",
    usb0: "host=1234:5678",
  };
  await tested({ lines }, ({ guest, outcome, sim, started, verbs }) => {
    assert.deepEqual(
      [guest.outcome, guest.text],
      ["passed", "the guest agent answered"],
      JSON.stringify(guest),
    );
    assert.equal(outcome, "good");
    assert.deepEqual([guest.vmid, guest.target], [101, 100]);
    assert.ok((guest.restoreSeconds ?? 0) > 0 && (guest.bootSeconds ?? 0) > 0);
    assert.equal(started?.name, "restore-test-101");
    assert.equal(started?.tags, `restore-test-${RUN_ID}`);
    assert.match(started?.net0 ?? "", /^virtio=BC:24:11:[0-9A-F:]+,bridge=vmbr0,tag=7,link_down=1$/);
    assert.notEqual(started?.net0?.slice(0, 24), NET.slice(0, 24));
    for (const key of ["args", "hookscript", "hostpci0", "onboot", "protection", "startup", "usb0"]) {
      assert.equal(started?.[key], undefined, key);
      assert.ok(guest.without.includes(key), key);
    }
    assert.equal(sim.guest(100), undefined);
    assert.deepEqual(Object.keys(sim.state().volumes), []);
    const destroy = sim.calls().find(({ tool, argv }) => tool === "qm" && argv[0] === "destroy");
    assert.deepEqual(destroy?.argv, ["destroy", "100"]);
    assert.equal(verbs.filter((verb) => verb === "start").length, 1);
  });
});

for (const release of ["7.0", "9.0"]) {
  Deno.test(`testRestores() passes a VM on Proxmox VE ${release}`, async () => {
    await tested({ lines: { agent: "1", net0: NET, onboot: "1" }, sim: { release } }, ({ guest, sim }) => {
      assert.equal(guest.outcome, "passed", guest.text);
      assert.equal(sim.guest(100), undefined);
    });
  });
}

Deno.test("testRestores() tells a VM that only keeps running from one that was proven", async () => {
  await tested({}, ({ guest, outcome }) => {
    assert.equal(guest.outcome, "not-proven", guest.text);
    assert.match(guest.text, /kept running for 2 s; it has no guest agent/);
    assert.equal(outcome, "good");
  });
  const before = (sim: { fault: (vmid: number, faults: { silent: true }) => void }) =>
    sim.fault(100, { silent: true });
  await tested({ lines: { agent: "1" }, before }, ({ guest, sim }) => {
    assert.equal(guest.outcome, "not-proven", guest.text);
    assert.match(guest.text, /the guest agent did not answer within 2 s/);
    assert.equal(sim.guest(100), undefined);
  });
});

Deno.test("testRestores() fails a VM that does not start, or stops by itself, and removes it", async () => {
  const cases = [
    [{ startFails: "no bridge vmbr7" }, /Cannot start VM 100: .*no bridge vmbr7/],
    [{ diesAfterMs: 1, silent: true }, /stopped by itself/],
  ] as const;
  for (const [faults, text] of cases) {
    const before = (sim: { fault: (vmid: number, faults: object) => void }) => sim.fault(100, faults);
    await tested({ lines: { agent: "1" }, before }, ({ guest, outcome, sim }) => {
      assert.equal(guest.outcome, "failed", guest.text);
      assert.match(guest.text, text);
      assert.equal(outcome, "failed");
      assert.equal(sim.guest(100), undefined);
    });
  }
});

Deno.test("testRestores() never starts a VM with a disk of another guest, which stays as it was", async () => {
  const sim = { guests: [{ vmid: 105, name: "db" }] };
  const theirs = { virtio3: "local-lvm:vm-105-disk-0,size=4M" };
  await tested({
    sim,
    listen: (event, node) => {
      if (event.type === "phase" && event.text.startsWith("taking off")) node.setConfig(100, theirs);
    },
  }, ({ guest, started, sim }) => {
    assert.equal(guest.outcome, "not-proven", guest.text);
    assert.equal(started?.virtio3, undefined);
    assert.equal(sim.guest(100), undefined);
    assert.equal(sim.volume(105, "scsi0").id, "local-lvm:vm-105-disk-0");
    assert.equal(sim.guest(105)?.status, "running");
  });
});

Deno.test("testRestores() restores a template and does not start it", async () => {
  await tested({ lines: { template: "1" } }, ({ guest, outcome, verbs, sim }) => {
    assert.deepEqual([guest.outcome, guest.text], ["restored", "a template is not started"]);
    assert.equal(outcome, "good");
    assert.ok(!verbs.includes("start"), verbs.join(" "));
    assert.equal(sim.guest(100), undefined);
  });
});

Deno.test("testRestores() refuses a VM before anything is begun when memory or space is short", async () => {
  const lines = { memory: "2048" };
  const freeMemory = 2559 * 1024 ** 2;
  await tested({ lines, sim: { knobs: { freeMemory } } }, ({ guest, verbs, outcome }) => {
    assert.equal(guest.outcome, "refused");
    assert.match(guest.text, /needs 2048 MiB of memory and 512 MiB to spare, node "pve1" has 2559 MiB free/);
    assert.deepEqual([verbs, outcome], [[], "failed"]);
  });
  await tested({ lines, sim: { knobs: { freeMemory: freeMemory + 1024 ** 2 } } }, ({ guest }) => {
    assert.equal(guest.outcome, "not-proven", guest.text);
  });
  const storages = [{ id: "local-lvm", type: "lvmthin", total: 1024 }];
  await tested({ sim: { storages } }, ({ guest, verbs }) => {
    assert.equal(guest.outcome, "refused");
    assert.match(guest.text, /need 1 MiB on storage "local-lvm"/);
    assert.deepEqual(verbs, []);
  });
});

Deno.test("testRestores() does not start what was changed behind its back, and leaves what it does not know", async () => {
  // 1. Somebody locks it before it is made harmless.
  await tested({
    listen: (event, sim) => {
      if (event.type === "phase" && event.text.startsWith("taking off")) sim.setLock(100, "backup");
    },
  }, ({ guest, verbs, sim }) => {
    assert.equal(guest.outcome, "failed");
    assert.ok(!verbs.includes("start"), verbs.join(" "));
    assert.ok(sim.guest(100));
    assert.match(guest.left ?? "", /VM is locked \(backup\).*qm stop 100; qm destroy 100/);
  });
  // 2. Another guest takes the vmid while the test runs.
  await tested({
    listen: (event, sim) => {
      if (event.type !== "phase" || !event.text.startsWith("removing")) return;
      sim.destroyGuest(100);
      sim.addGuest({ vmid: 100, name: "restore-test-101" });
    },
  }, ({ guest, outcome, sim }) => {
    assert.equal(outcome, "partial");
    assert.match(guest.left ?? "", /does not carry the mark/);
    assert.equal(sim.guest(100)?.status, "running");
  });
});

Deno.test("testRestores() does not start a guest whose vmid the HA manager still knows", async () => {
  await tested({
    listen: (event, sim) => {
      const isRestored = event.type === "phase" && event.text.startsWith("taking off");
      if (isRestored) sim.change((state) => void (state.guests[100]!.ha = "stopped"));
    },
  }, ({ guest, verbs }) => {
    assert.equal(guest.outcome, "failed");
    assert.match(guest.text, /not started: the HA manager has a resource of its vmid/);
    assert.ok(!verbs.includes("start"), verbs.join(" "));
  });
});

Deno.test("testRestores() removes its guest when it is stopped while it waits", async () => {
  const controller = new AbortController();
  const reason = new Error("interrupted by the test");
  await tested({
    lines: { agent: "1" },
    before: (sim) => sim.fault(100, { silent: true }),
    run: { stop: controller.signal, timeout: 60 },
    listen: (event) => {
      if (event.type === "phase" && event.text.startsWith("waiting")) controller.abort(reason);
    },
  }, ({ guest, outcome, sim }) => {
    assert.equal(guest.outcome, "not-tested");
    assert.equal(outcome, "interrupted");
    assert.equal(sim.guest(100), undefined);
  });
});

Deno.test("testGuest() leaves the guest alone and tells of it when the node is lost while it boots", async () => {
  const settings = "name: restore-test-101\nmemory: 512\nagent: 1\n" +
    `tags: restore-test-${RUN_ID}\ndescription: whose directory is "${WORK_DIR}"\n`;
  const node = standInNode({
    run: byPath({
      "/nodes/pve1/storage": "[]",
      "/nodes/pve1/status": JSON.stringify({ memory: { free: 8 * 1024 ** 3 } }),
      "/cluster/resources": "[]",
      "qm config 100 --current 1": settings,
      "qm start 100": "",
      "qm status 100": new UserError("unreachable", "Lost touch with pve1"),
    }),
  });
  const answered = node.runner.run.bind(node.runner);
  node.runner.run = (argv) =>
    argv[1] === "set" ? Promise.resolve({ status: 0, logTail: "", stdout: "", stderr: "" }) : answered(argv);
  let isLeft = false;
  const workDir = { path: WORK_DIR, leave: () => isLeft = true } as unknown as WorkDir;
  const task = { plan: { ...planOf(wish("qemu")), target: 100 }, config: {} };
  const result = emptyResult(task.plan);
  await testGuest(task, result, () => Promise.resolve(), {
    node,
    workDir,
    runId: RUN_ID,
    timeout: 5,
    now: () => new Date(),
    listen: () => {},
    stop: new AbortController().signal,
  });
  assert.deepEqual([result.outcome, isLeft], ["failed", true], result.text);
  assert.match(result.text, /Lost touch with pve1/);
  assert.match(result.left ?? "", /look at VM 100 on node "pve1".*qm stop 100; qm destroy 100/);
  assert.ok(node.runner.calls.every((argv) => argv[1] !== "destroy" && argv[1] !== "stop"));
});

Deno.test("asTest() refuses a container with raw lines, and brings no mounts of the host back", () => {
  const config = { ...CT_CONFIG, "lxc.apparmor.profile": "unconfined" };
  const plan = { ...planOf(wish("lxc", { config })), hostMounts: { mp0: "/srv,mp=/srv" }, starts: true };
  const task = asTest({ plan, config });
  assert.deepEqual([task.plan.hostMounts, task.plan.starts], [undefined, false]);
  assert.match(task.plan.refusals.at(-1)?.reason ?? "", /lxc\.apparmor\.profile.*cannot take off/);
  assert.deepEqual(asTest({ plan, config: CT_CONFIG }).plan.refusals, plan.refusals);
});
