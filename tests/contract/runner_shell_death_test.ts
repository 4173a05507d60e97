import { onPath } from "../needs.ts";
import { deathContract } from "./runner_death.ts";

deathContract("shell", new URL("./runner_shell_death_child.ts", import.meta.url));

// sudo stays between us and the guard, and goes on when we are gone.
if (Deno.uid() === 0 && onPath("sudo")) {
  const program = new URL("./runner_sudo_death_child.ts", import.meta.url);
  deathContract("shell with sudo", program, /in the same moment|stoppable job gets/);
}
