import { pveDeathContract } from "./runner_death_pve.ts";

pveDeathContract("shell", new URL("./runner_shell_death_child.ts", import.meta.url));
