import assert from "node:assert/strict";
import { flagTable, optionTable, plakarTable } from "../../../scripts/docs_options.ts";
import { flagName } from "../../../src/config/doors.ts";
import { OPTIONS } from "../../../src/config/options.ts";

const BLOCKS = ["options-selection", "options-backup", "options-restore", "options-where"] as const;
const rowsOf = (text: string) => text.split("\n").slice(2);

Deno.test("the generated tables tell every option there is", () => {
  const flags = [...BLOCKS.map(optionTable), flagTable()].join("\n");
  for (const key of Object.values(OPTIONS).flatMap((options) => Object.keys(options))) {
    assert.ok(
      flags.includes(`| \`${key}\` |`) || flags.includes(`\`${flagName(key)}`) ||
        plakarTable().includes(`| \`${key}\` |`),
      key,
    );
  }
});

Deno.test("optionTable() gives key, flag, words, default and meaning", () => {
  const row = rowsOf(optionTable("options-backup")).find((line) => line.startsWith("| `backup_mode` |"));
  assert.match(
    row ?? "",
    /^\| `backup_mode` \| `--backup-mode` \| `snapshot`, `suspend`, `stop` \| `snapshot` \| \S.* \|$/,
  );
});

Deno.test("optionTable() shows a dash where an option has no default", () => {
  const row = rowsOf(optionTable("options-selection")).find((line) => line.startsWith("| `pool` |"));
  assert.match(row ?? "", /\| `POOL` \| – \|/);
});

Deno.test("optionTable() tells no flag for a secret", () => {
  const row = rowsOf(optionTable("options-where")).find((line) => line.startsWith("| `conn_password` |"));
  assert.match(row ?? "", /^\| `conn_password` \| – \| `TEXT` \|/);
});

Deno.test("plakarTable() tells which side takes an option", () => {
  const sideOf = (key: string) =>
    rowsOf(plakarTable()).find((row) => row.startsWith(`| \`${key}\``))?.split("|")[2]?.trim();
  assert.deepEqual(["layout", "restore_to"].map(sideOf), ["source", "destination"]);
});

Deno.test("flagTable() tells a command's own flags and leaves out those of the option tables", () => {
  const rows = rowsOf(flagTable());
  assert.ok(rows.some((row) => /`backup` \| `--to <DIR>` \| .*\(required\) \|$/.test(row)));
  assert.ok(rows.some((row) => row.includes("| `verify` | `--vmid")));
  assert.ok(!rows.some((row) => row.includes("--dry-run")));
});
