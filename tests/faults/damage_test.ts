// deno-lint-ignore-file no-sync-fn-in-async-fn -- nothing else runs meanwhile
import assert from "node:assert/strict";
import { type Bed, makeBed } from "../cli/harness.ts";
import { needs } from "../needs.ts";
import { type DamageCase, DAMAGES } from "./cases_damage.ts";
import { contentsOf, guestsOf, plantDecoys, requireGuests, requireSilence } from "./traces.ts";

const COMPRESSIONS = {
  "vma": "0",
  "tar": "0",
  "vma.zst": "zstd",
  "vma.gz": "gzip",
  "vma.lzo": "lzo",
  "tar.zst": "zstd",
};

/** Tries one damaged archive. */
async function tryArchive(bed: Bed, path: string, row: DamageCase, what: string): Promise<void> {
  const { status, stdout, stderr } = await bed.run(["restore", "--from", path, "--all", "--force", "--json"]);
  assert.equal(status, row.status, `${what}: ${stdout}${stderr}`);
  assert.match(stderr, /Cannot restore|Cannot read/, what);
  const guests = stdout.split("\n").filter(Boolean).map((line) => JSON.parse(line)).filter(({ type }) =>
    type === "guest"
  );
  for (const { outcome } of guests) assert.equal(outcome, "failed", what);
  const tools = bed.node.calls().filter(({ tool, argv }) =>
    tool === "qmrestore" || ["restore", "shutdown", "stop"].includes(argv[0] ?? "")
  );
  assert.deepEqual(tools, [], what);
}

for (const [compression, group] of Map.groupBy(DAMAGES, ({ ending }) => COMPRESSIONS[ending])) {
  const programs = compression === "lzo" ? ["lzop"] : compression === "zstd" ? ["zstd"] : [];
  Deno.test({
    name: `restore refuses damaged archives, --backup-compression ${compression}`,
    ...needs(...programs),
    async fn(t) {
      await using bed = await makeBed({ guests: [{ vmid: 101, name: "web" }, { vmid: 105, kind: "lxc" }] });
      const made = await bed.run(["backup", "--all", "--to", bed.store, "--backup-compression", compression]);
      assert.equal(made.status, 0, made.stderr);
      const { path: snapshot, names } = bed.snapshot();
      plantDecoys(bed.node.dumpDir);
      const [before, files] = [guestsOf(bed.node), contentsOf(bed.node.dumpDir)];
      for (const row of group) {
        await t.step(row.name, async () => {
          const name = names.find((entry) => entry.endsWith(`.${row.ending}`)) as string;
          const whole = Deno.readFileSync(`${snapshot}/${name}`);
          const alone = `${bed.node.dir}/alone`;
          Deno.mkdirSync(alone, { recursive: true });
          for (const [what, bytes] of row.damage(whole)) {
            const path = `${row.isRecorded ? snapshot : alone}/${name}`;
            Deno.writeFileSync(path, bytes);
            await tryArchive(bed, path, row, what).finally(() =>
              Deno.writeFileSync(`${snapshot}/${name}`, whole)
            );
            assert.deepEqual(contentsOf(bed.node.dumpDir), files, what);
          }
          await requireSilence(bed);
          requireGuests(bed.node, before);
        });
      }
    },
  });
}
