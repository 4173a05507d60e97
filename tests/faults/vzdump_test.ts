import {
  VZDUMP_ENDINGS,
  VZDUMP_INTERRUPTIONS,
  VZDUMP_LOGS,
  VZDUMP_REFUSALS,
  VZDUMP_SETTINGS,
} from "./cases_vzdump.ts";
import { testCases } from "./runner.ts";

for (
  const group of [VZDUMP_ENDINGS, VZDUMP_REFUSALS, VZDUMP_SETTINGS, VZDUMP_LOGS, VZDUMP_INTERRUPTIONS]
) testCases(group);
