import { deathContract } from "./runner_death.ts";

deathContract("local", new URL("./runner_death_child.ts", import.meta.url));
