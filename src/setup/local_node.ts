import { LocalRunner } from "../runner/local.ts";

/** This machine, whether it is a Proxmox node or not. */
export function thisMachine(): LocalRunner {
  return new LocalRunner();
}
