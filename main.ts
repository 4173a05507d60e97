/**
 * Picks the mode and turns its end into an exit status. Everything else is loaded only when it is needed: what
 * `version` does not use, it does not wait for.
 */
import meta from "./deno.json" with { type: "json" };

const program = `plakar-proxmox ${meta.version}`;

/** The time of day, as it went on since the start: a clock that is set meanwhile would falsify every duration. */
const now = () => new Date(performance.timeOrigin + performance.now());

async function main(args: readonly string[]): Promise<number> {
  const [mode] = args;
  if (args.length === 1 && (mode === "importer" || mode === "exporter")) return await serve(mode);

  const { processTerminal } = await import("./src/cli/terminal.ts");
  const terminal = processTerminal();
  if (args.length === 1 && (mode === "version" || mode === "--version")) {
    await terminal.out(program);
    return 0;
  }
  const { runCli } = await import("./src/cli/program.ts");
  return await runCli(args, {
    terminal,
    environment: Deno.env.toObject(),
    program,
    now,
    leave: (status) => Deno.exit(status),
  });
}

async function serve(mode: "importer" | "exporter"): Promise<number> {
  const { servePlugin } = await import("./src/plugin/serve.ts");
  await servePlugin(mode, { program, now, say });
  return 0;
}

/** One line on stderr, whatever the text holds. */
function say(text: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(`${text.replaceAll(/\s*[\r\n]+\s*/g, " ")}\n`));
}

/** One sentence for what nobody caught, never a stack of paths inside of the binary. */
function failUnexpectedly(error: unknown): never {
  say(`Failed unexpectedly: ${error instanceof Error ? error.message : String(error)}`);
  Deno.exit(1);
}

globalThis.addEventListener("unhandledrejection", (event) => failUnexpectedly(event.reason));
globalThis.addEventListener("error", (event) => failUnexpectedly(event.error));

if (import.meta.main) Deno.exit(await main(Deno.args).catch(failUnexpectedly));
