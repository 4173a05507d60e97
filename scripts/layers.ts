/**
 * The project's own lint rules, run by every `deno lint`: who may import whom, who may touch what, how long
 * things may get. Each line of the tables carries the reason that its violators are told.
 */

/** This project's folder as the linter names files, with a final slash. */
const ROOT = new URL("..", import.meta.url).pathname;

interface Room {
  imports: readonly string[];
  reason: string;
}

const SETUP_AND_ITS_ROOMS = [
  "setup",
  "core",
  "config",
  "archive",
  "runner",
  "proxmox",
  "store",
  "backup",
  "restore",
  "restore_test",
];

/** Rooms of `src`, and the rooms each may import besides itself. */
export const ROOMS: Readonly<Record<string, Room>> = {
  core: { imports: [], reason: "the common words stand on nothing" },
  config: { imports: ["core"], reason: "options are described without knowing who uses them" },
  rpc: { imports: ["core"], reason: "the wire knows neither plakar nor Proxmox" },
  archive: { imports: ["core"], reason: "archives are judged by their bytes alone, without processes" },
  runner: { imports: ["core"], reason: "a node is reached without knowing what is asked of it" },
  proxmox: {
    imports: ["core", "runner", "archive"],
    reason: "a node's tools are typed calls through a runner",
  },
  store: { imports: ["core", "archive"], reason: "a store keeps archives and knows no node" },
  backup: {
    imports: ["core", "archive", "proxmox"],
    reason: "the flow knows sinks by the interfaces of core and nodes through proxmox",
  },
  restore: {
    imports: ["core", "archive", "proxmox"],
    reason: "the flow knows sources by the interfaces of core and nodes through proxmox",
  },
  restore_test: {
    imports: ["core", "archive", "proxmox", "restore"],
    reason: "a test is a restore that is booted, watched and removed",
  },
  setup: {
    imports: SETUP_AND_ITS_ROOMS.slice(1),
    reason: "options become the inputs of the flows here, the same for both faces",
  },
  doctor: {
    imports: ["core", "runner", "proxmox"],
    reason:
      "a node is looked at through its tools; which options matter and what a store holds is told to it",
  },
  cli: {
    imports: [...SETUP_AND_ITS_ROOMS, "doctor"],
    reason: "the face for people uses a directory as its store",
  },
  plugin: { imports: [...SETUP_AND_ITS_ROOMS, "rpc"], reason: "the face for plakar has plakar as its store" },
  "main.ts": {
    imports: ["cli", "plugin", "core"],
    reason: "the entry picks a face and leaves the rest to it",
  },
};

interface Owner {
  what: RegExp;
  files: readonly string[];
  reason: string;
}

/** Members of global objects with an owner. */
export const OWNED_MEMBERS: readonly Owner[] = [
  {
    what: /^Deno\.Command$/,
    files: ["src/runner/spawn.ts"],
    reason: "one room awaits exit statuses, bounds logs and guards children",
  },
  {
    what: /^(Deno|process)\.exit$/,
    files: ["main.ts"],
    reason: "an exit from the inside skips clean-up; throw, and the entry turns it into an exit status",
  },
  {
    what: /^(Deno|process)\.(stdin|stdout)$/,
    files: ["src/rpc/stdio.ts", "src/cli/terminal.ts"],
    reason: "stdin and stdout are plakar's wire or the results for people; a stray byte breaks either",
  },
  {
    what: /^Deno\.dlopen$/,
    files: ["src/core/pipe_size.ts"],
    reason: "code outside of the sandbox of types can break the process; the size of a pipe is worth it",
  },
];

/** Modules with an owner. */
export const OWNED_MODULES: readonly Owner[] = [
  {
    what: /^(npm:)?ssh2(@|\/|$)/,
    files: ["src/runner/ssh2.ts"],
    reason: "host keys, time limits and exit statuses of ssh2 are handled in one place",
  },
  {
    what: /^(node:)?child_process$/,
    files: [],
    reason: "commands run through the local runner",
  },
  {
    what: /^(jsr|https?):/,
    files: [],
    reason: "everything comes from npm or is built in, so that closed networks can build it",
  },
];

/** Lines that a file or function may have at most; a test's steps may be told in one go. */
export const MOST_LINES = { file: 400, testFile: 500, function: 60 } as const;

/** Path inside the project, or `undefined` for a file elsewhere. */
function pathInProject(filename: string): string | undefined {
  const path = filename.startsWith("file:") ? new URL(filename).pathname : filename;
  return path.startsWith(ROOT) ? path.slice(ROOT.length) : undefined;
}

/** `core` for `src/core/guest.ts`; `main.ts` for itself; `undefined` for what is not shipped. */
function roomOf(path: string): string | undefined {
  if (path === "main.ts") return path;
  return path.startsWith("src/") ? path.split("/")[1] : undefined;
}

/** Why `path` may not import `specifier`, or `undefined` if it may. */
export function importViolation(path: string, specifier: string): string | undefined {
  const owned = ownerViolation(path, specifier, OWNED_MODULES);
  const room = roomOf(path);
  if (owned || room === undefined || !/^\.{0,2}\//.test(specifier)) return owned;
  const rules = ROOMS[room];
  if (!rules) return `"${path}" belongs to no room of src; the rooms are in scripts/layers.ts`;
  const target = new URL(specifier, `file:///${path}`).pathname.slice(1);
  const other = roomOf(target);
  if (other === room || (other !== undefined && rules.imports.includes(other))) return undefined;
  if (path === "main.ts" && target === "deno.json") return undefined; // the version
  const allowed = rules.imports.join(", ") || "no other room";
  return `"${room}" must not import "${other ?? target}": ${rules.reason} (allowed: ${allowed})`;
}

/** Why the shipped file `path` may not use `what`, or `undefined` if it may. */
function ownerViolation(path: string, what: string, owners: readonly Owner[]): string | undefined {
  if (roomOf(path) === undefined) return undefined;
  const owner = owners.find((candidate) => candidate.what.test(what));
  if (!owner || owner.files.includes(path)) return undefined;
  return `"${what}" ${owner.files.length ? `only in ${owner.files.join(", ")}` : "nowhere"}: ${owner.reason}`;
}

type Context = Deno.lint.RuleContext;
type Visitor = Deno.lint.LintVisitor;

function rule(visit: (path: string, context: Context) => Visitor): Deno.lint.Rule {
  return {
    create(context) {
      const path = pathInProject(context.filename);
      return path === undefined ? {} : visit(path, context);
    },
  };
}

/** The text of a string literal, if `node` is one. */
function literal(node: { type: string; value?: unknown } | null | undefined): string | undefined {
  return node?.type === "Literal" && typeof node.value === "string" ? node.value : undefined;
}

const layers = rule((path, context) => {
  const check = (node: Deno.lint.Node, source: Parameters<typeof literal>[0]) => {
    const specifier = literal(source);
    const message = specifier === undefined ? undefined : importViolation(path, specifier);
    if (message) context.report({ node, message });
  };
  return {
    ImportDeclaration: (node) => check(node, node.source),
    ImportExpression: (node) => check(node, node.source),
    ExportAllDeclaration: (node) => check(node, node.source),
    ExportNamedDeclaration: (node) => check(node, node.source),
    // A worker is loaded by new URL("./file.ts", import.meta.url).
    NewExpression(node) {
      const [target] = node.arguments;
      if (node.callee.type === "Identifier" && node.callee.name === "URL") check(node, target);
    },
    // The linter's own tree has no text for `import("./x.ts").Type`, so that it is read from the source.
    TSImportType(node) {
      const specifier = /^import\(\s*(["'])(.*?)\1/.exec(context.sourceCode.getText(node))?.[2];
      check(node, { type: "Literal", value: specifier });
    },
  };
});

const owners = rule((path, context) => {
  const check = (node: Deno.lint.Node, what: string) => {
    const message = ownerViolation(path, what, OWNED_MEMBERS);
    if (message) context.report({ node, message });
  };
  return {
    MemberExpression(node) {
      if (node.object.type !== "Identifier") return;
      const property = node.property.type === "Identifier" ? node.property.name : literal(node.property);
      check(node, `${node.object.name}.${property}`);
    },
    // const { Command } = Deno;
    VariableDeclarator(node) {
      if (node.id.type !== "ObjectPattern" || node.init?.type !== "Identifier") return;
      for (const property of node.id.properties) {
        if (property.type !== "Property" || property.key.type !== "Identifier") continue;
        check(node, `${node.init.name}.${property.key.name}`);
      }
    },
  };
});

const sizes = rule((path, context) => {
  const isTest = path.startsWith("tests/");
  const check = (node: Deno.lint.Node, what: string, text: string, most: number) => {
    const lines = text.trimEnd().split("\n").length;
    if (lines <= most) return;
    context.report({
      node,
      message: `${what} has ${lines} lines, at most ${most}: split it by reason to change`,
    });
  };
  const checkFunction = (node: Deno.lint.Node) => {
    if (!isTest) check(node, "This function", context.sourceCode.getText(node), MOST_LINES.function);
  };
  return {
    Program: (node) =>
      check(node, "This file", context.sourceCode.text, isTest ? MOST_LINES.testFile : MOST_LINES.file),
    FunctionDeclaration: checkFunction,
    FunctionExpression: checkFunction,
    ArrowFunctionExpression: checkFunction,
  };
});

export default { name: "project", rules: { layers, owners, sizes } } satisfies Deno.lint.Plugin;
