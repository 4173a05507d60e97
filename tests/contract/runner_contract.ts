import { commandContract } from "./runner_commands.ts";
import { feedContract } from "./runner_feed.ts";
import { fileContract } from "./runner_files.ts";
import { filterContract } from "./runner_filters.ts";
import type { MakeRunner } from "./runner_helpers.ts";
import { cancelContract } from "./runner_cancel.ts";
import { holdContract } from "./runner_hold.ts";
import { jobContract } from "./runner_jobs.ts";

/** Registers the tests that every `Runner` must pass; `make` reaches this machine as a node. */
export function runnerContract(name: string, make: MakeRunner): void {
  commandContract(name, make);
  jobContract(name, make);
  cancelContract(name, make);
  filterContract(name, make);
  feedContract(name, make);
  fileContract(name, make);
  holdContract(name, make);
}
