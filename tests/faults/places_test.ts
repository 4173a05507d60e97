import { CLOCKS } from "./cases_clocks.ts";
import { FAILING_DISKS } from "./cases_disks.ts";
import { FULL_DISKS, SEVERAL_RUNS, STRANGE_NAMES } from "./cases_places.ts";
import { testCases } from "./runner.ts";

for (const group of [FULL_DISKS, FAILING_DISKS, STRANGE_NAMES, CLOCKS, SEVERAL_RUNS]) testCases(group);
