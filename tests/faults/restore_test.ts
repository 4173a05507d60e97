import { RESTORE_PLANS, RESTORE_TOOLS } from "./cases_restore.ts";
import { STREAMED_RESTORES } from "./cases_stream.ts";
import { testCases } from "./runner.ts";

for (const group of [RESTORE_PLANS, RESTORE_TOOLS, STREAMED_RESTORES]) testCases(group);
