import type { DecoderFactory } from "../archive/contents.ts";
import type { Argv, Runner } from "../runner/runner.ts";

const DECODERS: Readonly<Record<Parameters<DecoderFactory>[0], Argv>> = {
  zstd: ["zstd", "-q", "-d", "-c"],
  lzo: ["lzop", "-q", "-d", "-c"],
  bzip2: ["bzip2", "-q", "-d", "-c"],
};

/** Decompresses with the tools that Proxmox itself uses, on the machine that `runner` reaches. */
export function decoderTools(runner: Runner): DecoderFactory {
  return (compression, onOutput) => runner.filter(DECODERS[compression], onOutput);
}
