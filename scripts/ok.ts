/** The quick gate: format, lint with layers and sizes, types, generated docs, unit tests. Stops at the first failure. */
import { check, runChecks } from "./checks.ts";

/** Types were checked a moment before. */
const UNIT_TESTS = ["test", "-A", "--parallel", "--no-check", "tests/unit"];

const passed = await runChecks() &&
  await check("unit tests", UNIT_TESTS, "run them alone: scripts/deno task test tests/unit");
if (!passed) Deno.exit(1);
