import { pveDeathContract } from "./runner_death_pve.ts";

pveDeathContract("local", new URL("./runner_death_child.ts", import.meta.url));
