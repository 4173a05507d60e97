/** A clock that can be set while the binary and the tools of the node run. */
import { dirname } from "node:path";
import type { Bed } from "../cli/harness.ts";

const fileOf = (bed: Bed): string => `${dirname(bed.node.dir)}/clock`;

/** Sets the clock by how much it differs from the true one: `-1h`, `+10y`. */
export function setClock(bed: Bed, difference: string): void {
  Deno.writeTextFileSync(`${fileOf(bed)}.part`, difference);
  Deno.renameSync(`${fileOf(bed)}.part`, fileOf(bed));
}

/**
 * What a program and its children need to live by that clock. As with a real one, the time since the start of the
 * machine is not touched.
 */
export function clockEnvironment(bed: Bed): Record<string, string> {
  return {
    LD_PRELOAD: "/usr/$LIB/faketime/libfaketimeMT.so.1",
    FAKETIME_TIMESTAMP_FILE: fileOf(bed),
    FAKETIME_NO_CACHE: "1",
    FAKETIME_DONT_FAKE_MONOTONIC: "1",
  };
}
