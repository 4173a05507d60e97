import assert from "node:assert/strict";
import { SimNode, type SimOptions } from "./mod.ts";
import { run, start, until } from "./test_tools.ts";

const GUESTS: SimOptions["guests"] = [{ vmid: 101, name: "web" }, { vmid: 105, kind: "lxc", name: "ct" }];

/** Runs `tool args` and compares exit status, stdout and stderr. */
async function expect(
  node: SimNode,
  line: string,
  code: number,
  stdout: string,
  stderr: string,
): Promise<void> {
  const [tool = "", ...args] = line.split(" ");
  const outcome = await run(node, tool, args);
  assert.deepEqual([outcome.code, outcome.stdout, outcome.stderr], [code, stdout, stderr], line);
}

Deno.test("status, stop and start speak as qm and pct do", async () => {
  await using node = await SimNode.create({ guests: GUESTS, otherNodes: ["pve2"] });
  await expect(node, "qm status 101", 0, "status: running\n", "");
  await expect(node, "pct status 105", 0, "status: running\n", "");
  await expect(
    node,
    "qm status 999",
    2,
    "",
    "Configuration file 'nodes/pve1/qemu-server/999.conf' does not exist\n",
  );
  await expect(
    node,
    "pct status 101",
    2,
    "",
    "Configuration file 'nodes/pve1/lxc/101.conf' does not exist\n",
  );
  await expect(
    node.node("pve2"),
    "qm config 101",
    2,
    "",
    "Configuration file 'nodes/pve2/qemu-server/101.conf' does not exist\n",
  );
  await expect(node, "qm start 101", 255, "", "VM 101 already running\n");
  await expect(node, "pct start 105", 255, "", "CT 105 already running\n");
  await expect(node, "qm stop 101", 0, "", "");
  await expect(node, "qm stop 101", 0, "", "");
  await expect(node, "pct stop 105", 0, "", "");
  await expect(node, "pct stop 105", 255, "", "CT 105 not running\n");
  await expect(node, "pct shutdown 105", 255, "", "CT 105 not running\n");
  await expect(node, "qm shutdown 101", 0, "", "VM 101 not running\n");
  await expect(node, "qm stop 999", 255, "", "unable to find configuration file for VM 999 on node 'pve1'\n");
  await expect(
    node,
    "qm start 999",
    255,
    "",
    "Configuration file 'nodes/pve1/qemu-server/999.conf' does not exist\n",
  );
  await expect(node, "qm start 101", 0, "", "");
  assert.equal(node.guest(101)!.status, "running");
});

Deno.test("list shows this node's guests, or nothing at all", async () => {
  await using node = await SimNode.create({
    guests: [...GUESTS!, { vmid: 102, status: "stopped" }],
    otherNodes: ["pve2"],
  });
  const rows = (await run(node, "qm", ["list"])).stdout.trimEnd().split("\n").map((row) =>
    row.trim().split(/\s+/)
  );
  assert.deepEqual(rows[0], ["VMID", "NAME", "STATUS", "MEM(MB)", "BOOTDISK(GB)", "PID"]);
  assert.deepEqual(rows.slice(1).map((row) => row.slice(0, 3)), [["101", "web", "running"], [
    "102",
    "vm102",
    "stopped",
  ]]);
  assert.match(
    (await run(node, "pct", ["list"])).stdout,
    /^VMID +Status +Lock +Name +\n105 +running /,
  );
  await expect(node.node("pve2"), "qm list", 0, "", "");
});

Deno.test("a terminal on stdin is refused", async () => {
  await using node = await SimNode.create({ guests: GUESTS });
  const args = ["-qec", `${node.bin}/qm status 101`, "/dev/null"];
  const { code, stdout } = await new Deno.Command("script", { args, stdin: "null" }).output();
  assert.equal(code, 255);
  assert.match(new TextDecoder().decode(stdout), /refusing a terminal on stdin/);
});

Deno.test("locks, templates and paused VMs are refused", async () => {
  await using node = await SimNode.create({
    guests: [
      ...GUESTS!,
      { vmid: 110, lock: "create", status: "stopped" },
      { vmid: 111, lock: "backup" },
      { vmid: 112, kind: "lxc", lock: "backup" },
      { vmid: 113, template: true },
      { vmid: 114, kind: "lxc", template: true },
      { vmid: 115, status: "paused" },
      { vmid: 116, status: "prelaunch" },
    ],
  });
  await expect(node, "qm start 110", 255, "", "VM is locked (create)\n");
  await expect(node, "qm stop 111", 255, "", "VM is locked (backup)\n");
  await expect(node, "pct stop 112", 255, "", "CT is locked (backup)\n");
  await expect(node, "qm start 113", 255, "", "you can't start a vm if it's a template\n");
  await expect(node, "pct start 114", 255, "", "you can't start a CT if it's a template\n");
  await expect(node, "qm shutdown 115", 255, "", "VM is paused - cannot shutdown\n");
  await expect(node, "qm shutdown 116", 255, "", "VM is paused - cannot shutdown\n");
  await expect(node, "qm unlock 111", 0, "", "");
  await expect(node, "qm unlock 111", 0, "", "");
  await expect(node, "pct unlock 112", 0, "", "");
  await expect(node, "pct unlock 112", 255, "", "no lock found trying to remove any lock\n");
  node.change((state) => state.release = "7.4");
  await expect(node, "qm shutdown 116", 0, "", "");
});

Deno.test("a guest that ignores the shutdown runs into the time limit", async () => {
  await using node = await SimNode.create({ guests: GUESTS, knobs: { timeScale: 0.01 } });
  for (const vmid of [101, 105]) node.fault(vmid, { ignoreShutdown: true });
  await expect(node, "qm shutdown 101 --timeout 5", 255, "", "VM quit/powerdown failed - got timeout\n");
  await expect(node, "pct shutdown 105 --timeout 5", 255, "", "container did not stop\n");
  assert.equal(node.guest(101)!.status, "running");
  assert.equal((await run(node, "qm", ["shutdown", 101, "--timeout", 1, "--forceStop", 1])).code, 0);
  assert.equal(node.guest(101)!.status, "stopped");
});

Deno.test("a highly available guest only gets a request", async () => {
  await using node = await SimNode.create({
    guests: [{ vmid: 101, ha: "started" }],
    knobs: { haDelayMs: 500 },
  });
  await expect(node, "qm stop 101", 0, "Requesting HA stop for VM 101\n", "");
  assert.equal(node.guest(101)!.status, "running");
  await until("the manager has stopped it", () => node.guest(101)!.status === "stopped");
  await expect(
    node,
    "qm destroy 101",
    255,
    "",
    "unable to remove VM 101 - used in HA resources and purge parameter not set.\n",
  );
});

Deno.test("destroy refuses running and protected guests and removes the volumes of others", async () => {
  await using node = await SimNode.create({ guests: GUESTS });
  await expect(node, "qm destroy 101", 255, "", "VM 101 is running - destroy failed\n");
  await expect(node, "pct destroy 105", 255, "", "unable to destroy CT 105 - container is running\n");
  node.stopGuest(101);
  node.setConfig(101, { protection: "1" });
  await expect(node, "qm destroy 101", 255, "", "can't remove VM 101 - protection mode enabled\n");
  node.setConfig(101, { protection: null });
  await expect(node, "qm destroy 101", 0, "", "");
  await expect(node, "pct destroy 105 --force 1", 0, "", "");
  assert.deepEqual(node.state().volumes, {});
  assert.deepEqual(node.state().guests, {});
});

Deno.test("config shows pending changes unless asked for the current ones", async () => {
  const sections = "[PENDING]\ncores: 8\ndelete: ostype\n\n[before]\ncores: 1\n";
  await using node = await SimNode.create({ guests: [{ vmid: 101, sections }] });
  const show = async (...args: string[]) => (await run(node, "qm", ["config", 101, ...args])).stdout;
  assert.match(await show(), /^cores: 8\n/);
  assert.doesNotMatch(await show(), /ostype/);
  assert.match(await show("--current", "1"), /^cores: 2\n[^]*ostype: l26/);
  assert.match(await show("--snapshot", "before"), /^cores: 1\n$/);
});

Deno.test("set changes lines, allocates disks and turns removed ones into unused", async () => {
  await using node = await SimNode.create({ guests: GUESTS });
  assert.equal((await run(node, "qm", ["set", 101, "--scsi1", "local-lvm:1", "--name", "new"])).code, 0);
  assert.equal(node.guest(101)!.entries.scsi1, "local-lvm:vm-101-disk-1,size=1G");
  assert.equal((await run(node, "qm", ["set", 101, "--delete", "scsi1"])).code, 0);
  assert.equal(node.guest(101)!.entries.unused0, "local-lvm:vm-101-disk-1");
  assert.equal((await run(node, "pct", ["set", 105, "--mp0", "/srv,mp=/srv"])).code, 0);
  assert.equal(node.guest(105)!.entries.mp0, "/srv,mp=/srv");
});

Deno.test("a full clone has the same disks and another identity", async () => {
  await using node = await SimNode.create({ guests: GUESTS });
  assert.equal((await run(node, "qm", ["clone", 101, 201, "--full", 1, "--name", "copy"])).code, 0);
  assert.equal(node.sha256(201, "scsi0"), node.sha256(101, "scsi0"));
  assert.equal(node.guest(201)!.entries.name, "copy");
  assert.notEqual(node.guest(201)!.entries.net0, node.guest(101)!.entries.net0);
  const again = await run(node, "qm", ["clone", 101, 201, "--full", 1]);
  assert.equal(again.code, 255);
  assert.match(again.stderr, /unable to create VM 201: config file already exists/);
});

Deno.test("without root rights or cluster every tool fails the same way", async () => {
  await using node = await SimNode.create({ guests: GUESTS, knobs: { clusterDown: true } });
  for (const line of ["qm list", "pct list", "pvesh get /version", "vzdump 101"]) {
    const [tool = "", ...args] = line.split(" ");
    const { code, stderr } = await run(node, tool, args);
    assert.equal(code, 255);
    assert.match(
      stderr,
      /^ipcc_send_rec\[1\] failed: Connection refused\n[^]*Unable to load access control list: Connection refused\n$/,
    );
  }
});

Deno.test("without quorum nothing is changed", async () => {
  await using node = await SimNode.create({ guests: GUESTS });
  node.change((state) => state.quorate = false);
  await expect(node, "qm stop 101", 255, "", "cluster not ready - no quorum?\n");
  await expect(node, "qm status 101", 0, "status: running\n", "");
  const { code, stdout } = await run(node, "vzdump", [101, "--dumpdir", node.dumpDir]);
  assert.equal(code, 255);
  assert.match(stdout, /no quorum/);
});

Deno.test("every call is recorded with its exit status, a killed one without", async () => {
  await using node = await SimNode.create({ guests: GUESTS });
  await run(node, "qm", ["status", 999]);
  node.fault(101, { shutdownMs: 60_000 });
  const child = start(node, "qm", ["shutdown", 101, "--timeout", 90]);
  await until("the task runs", () => node.processes().length === 1);
  child.kill("SIGKILL");
  await child.output();
  const calls = node.calls().map(({ tool, argv, exit }) => ({ tool, argv, exit }));
  assert.deepEqual(calls, [
    { tool: "qm", argv: ["status", "999"], exit: 2 },
    { tool: "qm", argv: ["shutdown", "101", "--timeout", "90"], exit: null },
  ]);
});

Deno.test("many calls at once leave a consistent state", async () => {
  const guests = Array.from({ length: 6 }, (_, index) => ({ vmid: 101 + index, disks: [] }));
  await using node = await SimNode.create({ guests });
  await Promise.all(
    guests.map(({ vmid }) => run(node, "qm", ["set", vmid, "--name", `n${vmid}`, "--onboot", 1])),
  );
  for (const { vmid } of guests) assert.equal(node.guest(vmid)!.entries.name, `n${vmid}`);
  assert.equal(node.calls().filter((call) => call.exit === 0).length, guests.length);
});
