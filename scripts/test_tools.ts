import { onPath } from "../tests/needs.ts";
import { print } from "./print.ts";

/** Programs that tests run, by the Debian package that holds them. */
const PACKAGES: Readonly<Record<string, string>> = {
  zstd: "zstd",
  lzop: "lzop",
  sshd: "openssh-server",
  ssh: "openssh-client",
  sudo: "sudo",
  fish: "fish",
  csh: "csh",
  tcsh: "tcsh",
  zsh: "zsh",
  mksh: "mksh",
  faketime: "faketime",
  losetup: "mount",
  "mkfs.ext4": "e2fsprogs",
};

/** Sees to it that the programs which tests need are there: installs on Debian as root, else says what is missing. */
export async function provideTools(): Promise<void> {
  const missing = missingTools();
  if (missing.length === 0) return;
  if (Deno.uid() === 0 && onPath("apt-get")) await install(missing.map((tool) => PACKAGES[tool] ?? tool));
  for (const tool of missingTools()) {
    print(`Missing "${tool}" (Debian package ${PACKAGES[tool]}): tests that need it are skipped`);
  }
}

function missingTools(): string[] {
  return Object.keys(PACKAGES).filter((tool) => !onPath(tool));
}

async function install(packages: string[]): Promise<void> {
  print(`Installing for the tests: ${packages.join(" ")} (apt-get, as root on Debian)`);
  for (const args of [["update"], ["install", "--yes", "--no-install-recommends", ...packages]]) {
    const result = await new Deno.Command("apt-get", {
      args: ["-qq", ...args],
      env: { DEBIAN_FRONTEND: "noninteractive" },
      stdin: "null",
    }).output();
    if (result.success) continue;
    const said = new TextDecoder().decode(result.stderr).trim();
    print(`Cannot install: apt-get ${args[0]} ended with status ${result.code}: ${said}`);
  }
}
