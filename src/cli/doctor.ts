import { resolve } from "node:path";
import type { Command } from "commander";
import { readOptions } from "../config/doors.ts";
import { messageOf, UserError } from "../core/errors.ts";
import type { StoreAges } from "../doctor/checks/backups.ts";
import { examine } from "../doctor/doctor.ts";
import type { Finding, Severity } from "../doctor/finding.ts";
import type { Nodes } from "../proxmox/nodes.ts";
import { openNodes } from "../setup/reach.ts";
import { newestArchives } from "../store/choose.ts";
import { readStore } from "../store/snapshot_reader.ts";
import type { CliContext } from "./context.ts";
import { addTableFlags, once, openDoors } from "./flags.ts";
import type { Terminal } from "./terminal.ts";

interface Flags {
  store?: string;
  maxAge?: string;
  json?: true;
  [flag: string]: unknown;
}

const DEFAULT_MAX_AGE = "7";

/** Declares `doctor`. */
export function declareDoctor(command: Command): void {
  command.description("look for what would make backups or restores fail; changes nothing")
    .option(
      "--store <DIR>",
      "also look for guests without a recent backup in this directory",
      once("--store"),
    )
    .option(
      "--max-age <DAYS>",
      `days that the newest backup of a guest may be old (default: ${DEFAULT_MAX_AGE})`,
      once("--max-age"),
    );
  addTableFlags(command, "doctor");
}

/** Runs `doctor`. */
export async function runDoctor(flags: Flags, context: CliContext): Promise<void> {
  const { terminal, now, environment } = context;
  const doors = await openDoors("doctor", flags, environment, (line) => terminal.say(line));
  const options = readOptions("doctor", doors);
  const ages = await readAges(flags);
  let nodes: Nodes;
  try {
    nodes = await openNodes(options, terminal);
  } catch (error) {
    // Not to be reached is a finding like any other, with an exit status of its own.
    if (flags.json) {
      await showJson([{ severity: "problem", check: "reach", text: messageOf(error) }], terminal);
    }
    throw error;
  }
  let findings: Finding[];
  try {
    const { dump_dir: dumpDir, tmpdir, max_nodes: maxNodes } = options;
    findings = await examine(nodes, { dumpDir, tmpdir, maxNodes, ages, now });
  } finally {
    await nodes.close();
  }
  await (flags.json ? showJson : showText)(findings, terminal);
  const problems = count(findings, "problem");
  if (problems > 0) throw new UserError("failed", `Found ${plural(problems, "problem")}`);
}

async function readAges({ store, maxAge }: Flags): Promise<StoreAges | undefined> {
  if (maxAge !== undefined && !/^\d{1,5}$/.test(maxAge)) {
    throw new UserError("usage", `Cannot use "${maxAge}" for --max-age: must be a whole number of days`);
  }
  if (store === undefined) {
    if (maxAge === undefined) return undefined;
    throw new UserError("usage", "Cannot use --max-age without --store");
  }
  const newest = newestArchives(await readStore(store));
  return { store: resolve(store), newest, maxAge: Number(maxAge ?? DEFAULT_MAX_AGE) };
}

const count = (findings: readonly Finding[], severity: Severity): number =>
  findings.filter((finding) => finding.severity === severity).length;

const plural = (number: number, noun: string): string => `${number} ${noun}${number === 1 ? "" : "s"}`;

async function showJson(findings: readonly Finding[], terminal: Terminal): Promise<void> {
  for (const finding of findings) await terminal.out(JSON.stringify({ type: "finding", ...finding }));
  const summary = {
    ok: count(findings, "ok"),
    notes: count(findings, "note"),
    warnings: count(findings, "warning"),
    problems: count(findings, "problem"),
  };
  await terminal.out(JSON.stringify({ type: "summary", ...summary }));
}

async function showText(findings: readonly Finding[], terminal: Terminal): Promise<void> {
  const nodeWidth = Math.max(...findings.map(({ node = "" }) => node.length));
  const checkWidth = Math.max(...findings.map(({ check }) => check.length));
  for (const { severity, node = "", check, text, remedy } of findings) {
    const word = severity === "problem" ? "PROBLEM" : severity;
    const place = `${word.padEnd(7)}  ${node.padEnd(nodeWidth)}  ${check.padEnd(checkWidth)}`;
    await terminal.out(`${place}  ${text}${remedy === undefined ? "" : `; ${remedy}`}`);
  }
  const parts = [
    plural(count(findings, "problem"), "problem"),
    plural(count(findings, "warning"), "warning"),
    plural(count(findings, "note"), "note"),
  ];
  await terminal.out(`${parts.join(", ")}, ${count(findings, "ok")} ok`);
}
