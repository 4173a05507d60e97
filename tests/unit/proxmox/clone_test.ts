import assert from "node:assert/strict";
import { cloneArgv, cloneGuest, clonePercentOf, type CloneRequest } from "../../../src/proxmox/clone.ts";
import { standInNode } from "./node_stand_in.ts";
import { complaints, RELEASES } from "./pve_options.ts";

const request = (kind: "qemu" | "lxc"): CloneRequest => ({
  source: { vmid: 101, kind },
  newid: 120,
  ...(kind === "lxc" ? { hostname: "Copy-of-CT-mail" } : {}),
  logDir: "/w",
  hold: "/w/busy",
  onPercent: () => {},
});

Deno.test("cloneArgv() asks every release for a full clone in its own words", () => {
  assert.deepEqual(cloneArgv(request("qemu")).join(" "), "qm clone 101 120 --full 1");
  assert.deepEqual(
    cloneArgv(request("lxc")).join(" "),
    "pct clone 101 120 --full 1 --hostname Copy-of-CT-mail",
  );
  for (const release of RELEASES) {
    for (const kind of ["qemu", "lxc"] as const) {
      const argv = cloneArgv(request(kind));
      const said = complaints(release, argv).filter((complaint) => !complaint.includes("dns-name"));
      assert.deepEqual(said, [], `${release}: ${argv.join(" ")}`);
    }
  }
});

Deno.test("cloneGuest() tells the tool's reason, and a lost connection apart from it", async () => {
  const clone = (status: number, logTail: string) =>
    cloneGuest(standInNode({ finish: () => ({ status, logTail }) }), request("qemu"));
  await assert.rejects(clone(255, "create full clone of drive scsi0\nclone failed: no space"), {
    kind: "failed",
    message: "Cannot copy VM 101: clone failed: no space",
  });
  await assert.rejects(clone(-1, "create full clone\n[the connection broke]"), {
    kind: "unreachable",
    message: "the connection broke",
  });
  await clone(0, "");
});

Deno.test("clonePercentOf() reads qm's progress", () => {
  assert.equal(clonePercentOf("transferred 1.0 GiB of 4.0 GiB (25.31%)"), 25);
  assert.equal(clonePercentOf("create full clone of drive scsi0 (local-lvm:vm-101-disk-0)"), undefined);
});
