/** Builds `dist/proxmox_vVERSION_linux_amd64.ptar`, the package that `plakar pkg add` installs. */
import meta from "../deno.json" with { type: "json" };
import { buildPlakar } from "../tests/plakar/tools.ts";
import { onPath } from "../tests/needs.ts";
import { ensureBinary } from "./compile.ts";
import { print } from "./print.ts";
import { ROOT } from "./run.ts";

/** What the binary is built for; plakar takes its own system unless it is told. */
const TARGET = { GOOS: "linux", GOARCH: "amd64" };

/** Absolute path of the package, made anew from an up-to-date binary by `plakar`, a path or a name on PATH. */
export async function makePackage(plakar: string): Promise<string> {
  await ensureBinary();
  const name = `proxmox_v${meta.version}_${TARGET.GOOS}_${TARGET.GOARCH}.ptar`;
  const target = `${ROOT}/dist/${name}`;
  // plakar keeps its caches in HOME: one of our own leaves the user's alone, and asks no network for news.
  const home = await Deno.makeTempDir({ dir: `${ROOT}/dist`, prefix: ".package-" });
  try {
    const run = plakarIn(home, plakar);
    await run(["-disable-security-check"]);
    await run(["pkg", "create", "-out", `${home}/${name}`, `${ROOT}/manifest.yaml`, `v${meta.version}`]);
    await Deno.chmod(`${home}/${name}`, 0o644);
    await Deno.rename(`${home}/${name}`, target);
    return target;
  } finally {
    await removeHome(home);
  }
}

function plakarIn(home: string, plakar: string): (args: string[]) => Promise<void> {
  const folders = ["HOME", "TMPDIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"];
  const env = { ...TARGET, ...Object.fromEntries(folders.map((key) => [key, home])) };
  return async (args) => {
    const { success, code, stderr } = await new Deno.Command(plakar, { args, env, stdin: "null" }).output();
    const said = new TextDecoder().decode(stderr).trim();
    // A file that is missing is told ("KO"), yet plakar ends with 0.
    if (success && !/ KO /.test(said)) return;
    throw new Error(`Cannot make the package: plakar ${args.join(" ")} ended with ${code}: ${said}`);
  };
}

/** plakar's cache process may outlive its command by a few seconds, and write where it is being removed. */
async function removeHome(home: string): Promise<void> {
  for (let tries = 0;; tries++) {
    try {
      return await Deno.remove(home, { recursive: true });
    } catch (error) {
      if (tries >= 20) throw error;
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  }
}

async function findPlakar(): Promise<string> {
  if (onPath("plakar")) {
    print('Packing with the "plakar" on your PATH');
    return "plakar";
  }
  print('No "plakar" on your PATH: packing with the one that the tests build, which needs Go the first time');
  const built = await buildPlakar();
  print(`Packing with ${built}`);
  return built;
}

if (import.meta.main) {
  try {
    const path = await makePackage(await findPlakar());
    const { size } = await Deno.stat(path);
    print(`Wrote ${path.slice(ROOT.length + 1)}: ${(size / 1e6).toFixed(1)} MB`);
  } catch (error) {
    print(error instanceof Error ? error.message : String(error));
    Deno.exit(1);
  }
}
