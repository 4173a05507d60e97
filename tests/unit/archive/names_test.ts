import assert from "node:assert/strict";
import { archiveName, parseArchiveName, restoreRefusal } from "../../../src/archive/names.ts";
import type { ArchiveName } from "../../../src/archive/names.ts";

const D = "2024_01_02-03_04_05";
const TIME = new Date(2024, 0, 2, 3, 4, 5);
const STANDARD = { vmid: 101, standard: true, time: TIME } as const;

Deno.test("archiveName() names archives as vzdump does", () => {
  const time = new Date(2026, 10, 23, 16, 0, 0);
  const base = { kind: "qemu", vmid: 101, time } as const;
  assert.equal(archiveName({ ...base, compression: "zstd" }), "vzdump-qemu-101-2026_11_23-16_00_00.vma.zst");
  assert.equal(archiveName({ ...base, compression: "none" }), "vzdump-qemu-101-2026_11_23-16_00_00.vma");
  assert.equal(archiveName({ ...base, compression: "gzip" }), "vzdump-qemu-101-2026_11_23-16_00_00.vma.gz");
  assert.equal(
    archiveName({ kind: "lxc", vmid: 999999999, time: new Date(2024, 1, 3, 4, 5, 6), compression: "lzo" }),
    "vzdump-lxc-999999999-2024_02_03-04_05_06.tar.lzo",
  );
});

Deno.test("parseArchiveName() gives back what archiveName() was given", () => {
  for (const kind of ["qemu", "lxc"] as const) {
    for (const compression of ["none", "gzip", "lzo", "zstd"] as const) {
      for (const time of [TIME, new Date(1999, 11, 31, 23, 59, 59), new Date(2024, 1, 29, 0, 0, 0)]) {
        const name = archiveName({ kind, vmid: 100, time, compression });
        const format = kind === "qemu" ? "vma" : "tar";
        assert.deepEqual(parseArchiveName(name), {
          kind,
          format,
          compression,
          vmid: 100,
          standard: true,
          time,
        });
      }
    }
  }
});

/** What Proxmox's own storage code was seen to make of each name. */
const ACCEPTED: Record<string, ArchiveName> = {
  [`vzdump-qemu-101-${D}.vma`]: { kind: "qemu", format: "vma", compression: "none", ...STANDARD },
  [`vzdump-qemu-101-${D}.vma.zst`]: { kind: "qemu", format: "vma", compression: "zstd", ...STANDARD },
  [`vzdump-qemu-101-${D}.vma.gz`]: { kind: "qemu", format: "vma", compression: "gzip", ...STANDARD },
  [`vzdump-qemu-101-${D}.vma.lzo`]: { kind: "qemu", format: "vma", compression: "lzo", ...STANDARD },
  [`vzdump-qemu-101-${D}.vma.bz2`]: { kind: "qemu", format: "vma", compression: "bzip2", ...STANDARD },
  [`vzdump-lxc-101-${D}.tar`]: { kind: "lxc", format: "tar", compression: "none", ...STANDARD },
  [`vzdump-lxc-101-${D}.tar.zst`]: { kind: "lxc", format: "tar", compression: "zstd", ...STANDARD },
  [`vzdump-lxc-101-${D}.tar.gz`]: { kind: "lxc", format: "tar", compression: "gzip", ...STANDARD },
  [`vzdump-lxc-101-${D}.tar.lzo`]: { kind: "lxc", format: "tar", compression: "lzo", ...STANDARD },
  [`vzdump-lxc-101-${D}.tar.bz2`]: { kind: "lxc", format: "tar", compression: "bzip2", ...STANDARD },
  [`vzdump-lxc-101-${D}.tgz`]: { kind: "lxc", format: "tar", compression: "gzip", ...STANDARD },
  [`vzdump-openvz-101-${D}.tar.gz`]: { kind: "lxc", format: "tar", compression: "gzip", ...STANDARD },
  [`vzdump-lxc-101-${D}.vma.zst`]: { kind: "lxc", format: "vma", compression: "zstd", ...STANDARD },
  [`vzdump-qemu-101-${D}.tar.zst`]: { kind: "qemu", format: "tar", compression: "zstd", ...STANDARD },
  [`vzdump-qemu-101-1969_12_31-00_00_00.vma`]: {
    kind: "qemu",
    format: "vma",
    compression: "none",
    vmid: 101,
    standard: true,
    time: new Date(1969, 11, 31),
  },
};

for (const [name, expected] of Object.entries(ACCEPTED)) {
  Deno.test(`parseArchiveName() reads ${name}`, () => assert.deepEqual(parseArchiveName(name), expected));
}

const CUSTOM: Record<string, number | undefined> = {
  [`vzdump-qemu-101-${D}-copy.vma`]: 101,
  [`vzdump-qemu-101-${D} (1).vma.zst`]: 101,
  [`vzdump-qemu-101-${D}.vma.vma`]: 101,
  [`vzdump-qemu-101-${D}.foo.vma.zst`]: 101,
  "vzdump-qemu-101-2024_01_02.vma": 101,
  "vzdump-qemu-101-2024-01-02-03_04_05.vma": 101,
  "vzdump-qemu-101-2024_1_2-3_4_5.vma": 101,
  "vzdump-qemu-101.vma": undefined,
  "vzdump-qemu-x.vma": undefined,
  [`vzdump-qemu-99-${D}.vma`]: undefined,
  [`vzdump-qemu-0101-${D}.vma`]: undefined,
  [`vzdump-qemu-1234567890-${D}.vma`]: undefined,
  "vzdump-qemu-102-from-101-x.vma": 102,
  "vzdump-qemu-101-2024_13_02-03_04_05.vma": 101,
  "vzdump-qemu-101-2024_02_30-03_04_05.vma": 101,
  "vzdump-qemu-101-2023_02_29-03_04_05.vma": 101,
  "vzdump-qemu-101-2024_01_02-25_04_05.vma": 101,
  "vzdump-qemu-101-2024_01_02-03_60_05.vma": 101,
  "vzdump-qemu-101-2024_01_02-03_04_60.vma": 101,
  "vzdump-qemu-101-0000_00_00-00_00_00.vma": 101,
};

for (const [name, vmid] of Object.entries(CUSTOM)) {
  Deno.test(`parseArchiveName() takes ${name} as no standard name`, () => {
    const parsed = parseArchiveName(name);
    assert.equal(parsed?.standard, false);
    assert.equal(parsed?.vmid, vmid);
    assert.equal(parsed?.time, undefined);
  });
}

const REFUSED = [
  ...[".xz", ".zstd", ".tzst", ".zst", ".raw", ".img", ".qcow2", ".VMA", ".vma.ZST", ""].map((suffix) =>
    `vzdump-qemu-101-${D}${suffix}`
  ),
  ...["notes", "log", "protected", "dat", "tmp", "part", "gpg"].map((suffix) =>
    `vzdump-qemu-101-${D}.vma.zst.${suffix}`
  ),
  `vzdump-kvm-101-${D}.vma`,
  `copy-vzdump-qemu-101-${D}.vma`,
  `Vzdump-qemu-101-${D}.vma`,
  "backup.vma",
  "backup.vma.zst",
  "vzdump.vma",
  "vzdump-qemu-.vma",
  `vzdump-qemu-101-${D}.vma\n`,
  `vzdump-qemu-101-\n${D}.vma`,
  `vzdump-qemu-101-\u001b[31m.vma`,
  `/var/lib/vz/dump/vzdump-qemu-101-${D}.vma`,
  `vzdump-qemu-../../etc/x.vma`,
  `vzdump-qemu-..vma`,
  "-",
  "",
  "..",
];

for (const name of REFUSED) {
  Deno.test(`parseArchiveName() refuses ${JSON.stringify(name)}`, () =>
    assert.equal(parseArchiveName(name), null));
}

Deno.test("restoreRefusal() takes for qmrestore what Proxmox accepts as a VM archive", () => {
  for (const name of [`vzdump-qemu-101-${D}.vma.zst`, "vzdump-qemu-x.vma", `vzdump-lxc-101-${D}.vma`]) {
    assert.equal(restoreRefusal("qemu", name), undefined, name);
  }
  for (
    const name of [
      "backup.vma",
      `vzdump-qemu-101-${D}.tar.zst`,
      "vzdump-qemu-101-2024_13_02-03_04_05.vma",
      "a/b.vma",
    ]
  ) {
    assert.equal(typeof restoreRefusal("qemu", name), "string", name);
  }
});

Deno.test("restoreRefusal() takes for pct restore whatever ends in .tar and a suffix pct knows, and no .tgz", () => {
  for (
    const name of [
      `vzdump-lxc-101-${D}.tar`,
      "backup.tar.zst",
      "x.tar.xz",
      "x.tar.bz2",
      "x.tar.gz",
      "x.tar.lzo",
    ]
  ) {
    assert.equal(restoreRefusal("lxc", name), undefined, name);
  }
  for (const name of [`vzdump-lxc-101-${D}.tgz`, "x.tar.foo", `vzdump-lxc-101-${D}.vma`, "x.tar\n"]) {
    assert.equal(typeof restoreRefusal("lxc", name), "string", name);
  }
});
