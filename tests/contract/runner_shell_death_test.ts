import { deathContract } from "./runner_death.ts";

deathContract("shell", new URL("./runner_shell_death_child.ts", import.meta.url));
