import assert from "node:assert/strict";
import { complaints, RELEASES } from "./pve_options.ts";

Deno.test("the option table knows the releases from 7.0 to 9.2", () => {
  assert.equal(RELEASES[0], "7.0");
  assert.equal(RELEASES.at(-1), "9.2");
});

Deno.test("complaints() finds what a real parser refuses", () => {
  const cases: [release: string, line: string][] = [
    ["8.4", "vzdump 101 --bogus 1"],
    ["8.4", "vzdump --stdout 1"],
    ["8.4", "vzdump 101 102"],
    ["8.4", "vzdump 101 --stdout"],
    ["8.4", "vzdump 101 --stdout 102"],
    ["8.4", "vzdump 101 --compress xz"],
    ["8.4", "vzdump 101 --lockwait -1"],
    ["8.4", "vzdump 101 --ionice 9"],
    ["8.4", "vzdump 101 --mode stop --mode stop"],
    ["8.4", "vzdump 101 --protected 1"],
    ["8.1", "vzdump 101 --fleecing enabled=1,storage=fast"],
    ["7.4", "vzdump 101 --notification-mode legacy-sendmail"],
    ["9.0", "vzdump 101 --notification-policy never"],
    ["8.4", "qmrestore /a.vma 99"],
    ["8.4", "qmrestore 101"],
    ["9.0", "qmrestore /a.vma 101 --start 1"],
    ["8.4", "qmrestore /a.vma 101 --storage x"],
    ["8.4", `qmrestore /${"a".repeat(255)} 101`],
    ["8.4", "pct restore 101 /a.tar --force"],
    ["8.4", "qm frobnicate 101"],
  ];
  for (const [release, line] of cases) assert.notDeepEqual(complaints(release, line.split(" ")), [], line);
});

Deno.test("complaints() has nothing against what a real parser takes", () => {
  const lines = [
    "vzdump 101 --stdout 1 --mode stop --compress zstd --dumpdir /var/x --prune-backups keep-all=1",
    "qmrestore /a.vma 101 --force 1 --unique 1 --pool a/b",
    "pct restore 101 /a.tar --unique 1 --storage local-lvm",
    "qm shutdown 101 --timeout 0 --forceStop 1",
  ];
  for (const release of RELEASES) {
    for (const line of lines) assert.deepEqual(complaints(release, line.split(" ")), [], line);
  }
});
