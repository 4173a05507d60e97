/** Environment variable that names the file where `scripts/test.ts` collects what skipped tests lacked. */
export const LACKS_FILE = "TEST_LACKS_FILE";

/**
 * For a test that needs programs of the machine: `Deno.test({ name, ...needs("lzop"), fn })`; `root` stands for
 * being root, `loop device` for what makes a disk of a file. Ignores the test if one of them is not on PATH, and leaves a line saying which for the end of the run.
 */
export function needs(...programs: string[]): { ignore: boolean } {
  const missing = programs.filter((program) =>
    program === "root" ? Deno.uid() !== 0 : program === "loop device" ? !hasLoopDevices() : !onPath(program)
  );
  const file = Deno.env.get(LACKS_FILE);
  if (file && missing.length) {
    Deno.writeTextFileSync(file, missing.map((program) => `${program}\n`).join(""), { append: true });
  }
  return { ignore: missing.length > 0 };
}

function hasLoopDevices(): boolean {
  try {
    return Deno.statSync("/dev/loop-control").isCharDevice === true;
  } catch {
    return false; // as in most containers
  }
}

/** Whether `program` can be started by its name, or lies in the folders for administrators. */
export function onPath(program: string): boolean {
  const folders = [...(Deno.env.get("PATH") ?? "").split(":"), "/usr/sbin", "/sbin"];
  return folders.some((folder) => {
    try {
      const { isFile, mode } = Deno.statSync(`${folder || "."}/${program}`);
      return isFile && ((mode ?? 0) & 0o111) !== 0;
    } catch {
      return false; // not there
    }
  });
}
