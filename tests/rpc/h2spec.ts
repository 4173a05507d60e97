/** h2spec, the conformance tests for HTTP/2 servers: version 2.6.0, under the name that Go's module proxy has for it. */
const MODULE = "github.com/summerwind/h2spec";
const VERSION = "v0.0.0-20200804131034-70ac22940108";

/** Seconds that h2spec waits for an answer to one case. */
const CASE_SECONDS = 5;

/** What h2spec says of one case; `fault` is empty for a pass. */
export interface SpecCase {
  /** Suite, section and title. */
  name: string;
  fault: string;
}

/** Path of the program; it is built on the first call on a machine and kept in the user's cache. */
export async function h2specProgram(): Promise<string> {
  const base = Deno.env.get("XDG_CACHE_HOME") || `${Deno.env.get("HOME")}/.cache`;
  const folder = `${base}/plakar-proxmox-tests`;
  const program = `${folder}/h2spec-${VERSION}`;
  if (await Deno.stat(program).then(() => true, () => false)) return program;
  await Deno.mkdir(folder, { recursive: true });
  const work = await Deno.makeTempDir({ dir: folder });
  try {
    const { code, stderr } = await new Deno.Command("go", {
      args: ["install", `${MODULE}/cmd/h2spec@${VERSION}`],
      env: { GOBIN: work, GOWORK: "off" },
      stdin: "null",
    }).output();
    if (code !== 0) {
      throw new Error(`Cannot build h2spec: go ended with ${code}: ${new TextDecoder().decode(stderr)}`);
    }
    await Deno.rename(`${work}/h2spec`, program);
    return program;
  } finally {
    await Deno.remove(work, { recursive: true });
  }
}

/** Runs suites, such as `generic` or `http2/5.1`, against the server on a port of this machine. */
export async function runH2spec(port: number, suites: readonly string[]): Promise<SpecCase[]> {
  const report = await Deno.makeTempFile({ suffix: ".xml" });
  try {
    const { stdout, stderr } = await new Deno.Command(await h2specProgram(), {
      args: [...suites, "--strict", "-p", String(port), "-o", String(CASE_SECONDS), "-j", report],
      stdin: "null",
    }).output();
    const cases = casesOf(await Deno.readTextFile(report));
    if (cases.length > 0) return cases;
    const said = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes)).join("\n");
    throw new Error(`Cannot read the report of h2spec: ${said.slice(-2_000)}`);
  } finally {
    await Deno.remove(report);
  }
}

function casesOf(xml: string): SpecCase[] {
  const cases = xml.matchAll(/<testcase package="([^"]*)" classname="([^"]*)"[^>]*>(.*?)<\/testcase>/gs);
  return [...cases].map(([, section, title, inside = ""]) => ({
    name: `${section}: ${unescapeXml(title ?? "")}`,
    fault: unescapeXml(inside.trim()),
  }));
}

function unescapeXml(text: string): string {
  return text.replaceAll(/&#(\d+);/g, (_, code) => String.fromCharCode(Number(code)))
    .replaceAll("&quot;", '"').replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");
}
