import type { ArchiveRecord, Manifest, ManifestGuest, Report } from "../../../src/core/snapshot.ts";

export const RUN_ID = "0123456789abcdef0123456789abcdef";
export const STARTED = new Date("2026-01-31T12:00:00Z");
export const VM_ARCHIVE = "vzdump-qemu-101-2026_01_31-12_00_00.vma";
export const CT_ARCHIVE = "vzdump-lxc-105-2026_01_31-12_00_10.tar.zst";

export function aManifestGuest(given: Partial<ManifestGuest> = {}): ManifestGuest {
  return {
    vmid: 101,
    kind: "qemu",
    node: "pve1",
    name: "web",
    status: "running",
    template: false,
    tags: ["prod"],
    config: { name: "web", memory: "512" },
    notHeld: [{ key: "scsi1", what: 'disk "fast:vm-101-disk-1"', reason: "backup=0 is set" }],
    ...given,
  };
}

export function aManifest(given: Partial<Manifest> = {}): Manifest {
  return {
    version: 1,
    run: RUN_ID,
    started: STARTED.toISOString(),
    program: "plakar-proxmox 0.0.0",
    node: "pve1",
    release: "8.4.1",
    nodes: [{ name: "pve1", online: true }],
    options: { backup_mode: "snapshot" },
    guests: [aManifestGuest()],
    ...given,
  };
}

export function aRecord(given: Partial<ArchiveRecord> = {}): ArchiveRecord {
  return {
    name: VM_ARCHIVE,
    vmid: 101,
    kind: "qemu",
    bytes: 3,
    sha256: "a".repeat(64),
    compression: "none",
    checked: "contents",
    disks: [],
    ...given,
  };
}

export function aReport(given: Partial<Report> = {}): Report {
  return {
    version: 1,
    run: RUN_ID,
    started: STARTED.toISOString(),
    finished: STARTED.toISOString(),
    outcome: "good",
    guests: [{
      vmid: 101,
      outcome: "good",
      archive: aRecord(),
      bytes: 3,
      seconds: 1,
      warnings: [],
      notHeld: [],
    }],
    notes: [],
    ...given,
  };
}
