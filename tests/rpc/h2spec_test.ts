import assert from "node:assert/strict";
import { needs } from "../needs.ts";
import { runH2spec, type SpecCase } from "./h2spec.ts";

/** Cases that may fail, each with its reason; a case here that passes fails the test. */
const EXCEPTIONS: Readonly<Record<string, string>> = {};

/** Hands one connection over to a process of its own that speaks on stdin and stdout. */
async function serveByChild(connection: Deno.Conn): Promise<void> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", new URL("stdio_child.ts", import.meta.url).pathname],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const input = connection.readable.pipeTo(child.stdin).catch(() => {});
  await child.stdout.pipeTo(connection.writable).catch(() => {});
  await input;
  assert.equal((await child.status).code, 0, "The process that speaks HTTP/2 failed");
}

/** Runs suites against a server that gives each connection a process of its own. */
async function judge(suites: string[]): Promise<SpecCase[]> {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const open = new Set<Promise<void>>();
  const serving = (async () => {
    for await (const connection of listener) {
      const served = serveByChild(connection).finally(() => open.delete(served));
      open.add(served);
    }
  })();
  try {
    return await runH2spec((listener.addr as Deno.NetAddr).port, suites);
  } finally {
    listener.close();
    await serving;
    await Promise.all(open);
  }
}

Deno.test({
  name:
    "HTTP/2 on stdin and stdout passes every case of h2spec: generic, http2 and hpack, the strict ones too",
  ...needs("go"),
  async fn() {
    const cases = await judge(["generic", "http2", "hpack"]);
    assert.ok(cases.length >= 145, `Only ${cases.length} cases were run`);
    const failed = cases.filter(({ name, fault }) => fault && !(name in EXCEPTIONS));
    assert.deepEqual(failed, []);
    assert.deepEqual(
      cases.filter(({ name, fault }) => !fault && name in EXCEPTIONS),
      [],
      "These pass by now",
    );
  },
});
