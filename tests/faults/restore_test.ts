import { RESTORE_PLANS, RESTORE_TOOLS } from "./cases_restore.ts";
import { testCases } from "./runner.ts";

for (const group of [RESTORE_PLANS, RESTORE_TOOLS]) testCases(group);
