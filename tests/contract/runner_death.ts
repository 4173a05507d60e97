import assert from "node:assert/strict";
import { fileText, pause, sessionMembers, sessionOf, until, writeScript } from "./runner_helpers.ts";

// Behaves as Proxmox's tools do: the first reason to stop starts the cleanup, which logs its steps; a SIGTERM or a
// broken log cuts it and leaves the lock. The cleanup takes longer than the guard's grace of one second.
const DUMP = `events=$1 cleaning=
note() { echo "$1" >>"$events"; }
lock() { echo held >"$events.lock"; }
fail() {
  cleaning=1
  echo "ERROR: $1" >&2
  echo "INFO: aborting backup job" >&2
  note "cleanup after $1"
  for step in 1 2 3 4 5; do sleep 0.5; echo "INFO: step $step" >&2; done
  rm "$events.lock"
  note clean
  exit 255
}
trap 'note TERM; [ "$cleaning" ] && exit 1; fail interrupt' TERM
lock
note "pid $$"
case $2 in
  write) while head -c 100000 /dev/zero; do :; done; fail "broken pipe" ;;
  wait) while :; do sleep 0.1; done ;;
  quiet) while head -c 100000 /dev/zero; do :; done; cleaning=1; note "quiet cleanup"; sleep 2; rm "$events.lock"; note clean ;;
  soon) while [ ! -e "$events.killed" ]; do sleep 0.1; done; rm "$events.lock"; note done ;;
  stall) head -c 100000 /dev/zero; note stalled; while :; do sleep 0.1; done ;;
  fail) fail "own error" ;;
  eat) echo "INFO: eating"; exec 7<&0; { cat >/dev/null; note whole; } <&7 & while :; do wait $!; sleep 0.1; done ;;
  digest) wc -c >"$events.size"; note "fed $(cat "$events.size")"; sleep 2; rm "$events.lock"; note done ;;
  finish) for step in 1 2 3 4 5; do sleep 0.5; echo "INFO: step $step"; done; rm "$events.lock"; note done ;;
esac`;

interface Case {
  what: string;
  mode: "read" | "hold" | "finish" | "stoppable" | "feed" | "fed";
  job: "write" | "quiet" | "wait" | "soon" | "stall" | "fail" | "finish" | "eat" | "digest";
  /** What happens to the program once the job has noted `when`. */
  kill: (child: Deno.ChildProcess, say: (word: string) => Promise<void>) => void | Promise<void>;
  when?: string;
  /** All that the job notes after its pid. */
  events: string[];
}

const killed: Case["kill"] = (child) => child.kill("SIGKILL");
const interrupted: Case["kill"] = (child) => Deno.kill(-child.pid, "SIGINT");
const cancelledThenKilled: Case["kill"] = async (child, say) => {
  await say("stop");
  await pause(700);
  child.kill("SIGKILL");
};
const cancelledAndDead: Case["kill"] = (_child, say) => say("die");

const CASES: Case[] = [
  {
    what: "a writing job ends by the broken pipe and cleans up",
    mode: "read",
    job: "write",
    kill: killed,
    events: ["cleanup after broken pipe", "clean"],
  },
  {
    what: "a job whose bytes nobody has read yet ends by the broken pipe and cleans up",
    mode: "hold",
    job: "write",
    kill: killed,
    events: ["cleanup after broken pipe", "clean"],
  },
  {
    what: "a Ctrl-C to the process group reaches us, not the job",
    mode: "read",
    job: "write",
    kill: interrupted,
    events: ["cleanup after broken pipe", "clean"],
  },
  {
    what: "a writing job whose cleanup says nothing is given time",
    mode: "read",
    job: "quiet",
    kill: killed,
    events: ["quiet cleanup", "clean"],
  },
  {
    what: "a job that ends soon is let alone",
    mode: "read",
    job: "soon",
    kill: killed,
    events: ["done"],
  },
  {
    what: "a waiting job gets one SIGTERM",
    mode: "read",
    job: "wait",
    kill: killed,
    events: ["TERM", "cleanup after interrupt", "clean"],
  },
  {
    what: "a job that has written and now stalls gets one SIGTERM",
    mode: "read",
    job: "stall",
    kill: killed,
    when: "stalled",
    events: ["stalled", "TERM", "cleanup after interrupt", "clean"],
  },
  {
    what: "a job that cleans up after its own error is left alone",
    mode: "read",
    job: "fail",
    kill: killed,
    when: "cleanup",
    events: ["cleanup after own error", "clean"],
  },
  {
    what: "a cancelled writing job goes on with its cleanup",
    mode: "read",
    job: "write",
    kill: cancelledThenKilled,
    events: ["TERM", "cleanup after interrupt", "clean"],
  },
  {
    what: "a cancelled waiting job goes on with its cleanup",
    mode: "read",
    job: "wait",
    kill: cancelledThenKilled,
    events: ["TERM", "cleanup after interrupt", "clean"],
  },
  {
    what: "a job that was cancelled in its cleanup goes on with it",
    mode: "read",
    job: "fail",
    kill: cancelledThenKilled,
    when: "cleanup",
    events: ["cleanup after own error", "clean"],
  },
  {
    what: "a waiting job that was cancelled in the same moment gets one SIGTERM",
    mode: "read",
    job: "wait",
    kill: cancelledAndDead,
    events: ["TERM", "cleanup after interrupt", "clean"],
  },
  {
    what: "a job that is left to finish finishes",
    mode: "finish",
    job: "finish",
    kill: killed,
    events: ["done"],
  },
  {
    what: "a Ctrl-C does not reach a job that is left to finish",
    mode: "finish",
    job: "finish",
    kill: interrupted,
    events: ["done"],
  },
  {
    what: "a stoppable job gets one SIGTERM",
    mode: "stoppable",
    job: "wait",
    kill: killed,
    events: ["TERM", "cleanup after interrupt", "clean"],
  },
  {
    what: "a stoppable job that was told to stop goes on with its cleanup",
    mode: "stoppable",
    job: "wait",
    kill: cancelledThenKilled,
    events: ["TERM", "cleanup after interrupt", "clean"],
  },
  ...([
    ["gets one SIGTERM and no end of its input", killed],
    ["is not reached by a Ctrl-C, and gets one SIGTERM", interrupted],
    ["that was killed goes on with its cleanup", cancelledThenKilled],
    ["that was killed in the same moment gets one SIGTERM", cancelledAndDead],
  ] as const).map(([what, kill]): Case => ({
    what: `a job that is fed ${what}`,
    mode: "feed",
    job: "eat",
    kill,
    events: ["TERM", "cleanup after interrupt", "clean"],
  })),
  {
    what: "a job whose input is whole finishes",
    mode: "fed",
    job: "digest",
    when: "fed",
    kill: killed,
    events: ["fed 100000", "done"],
  },
];

/**
 * Registers the tests of what becomes of a job when the process that runs it is killed. `program` is that process: it
 * hands its runner to `live` of `runner_life.ts`. `only` picks some of the tests.
 */
export function deathContract(name: string, program: URL, only = /^/): void {
  for (const test of CASES.filter(({ what }) => only.test(what))) {
    Deno.test(`${name} runner's death: ${test.what}`, async () => {
      assert.deepEqual(await play(program, test), test.events);
    });
  }

  // Broken pipe and SIGTERM must not both reach the job, whether its cleanup can be seen in its log or not.
  for (const job of ["write", "quiet"] as const) {
    Deno.test(`${name} runner's death: a job (${job}) that was cancelled in the same moment cleans up once`, async () => {
      for (let round = 0; round < 3; round++) {
        const events = await play(program, {
          what: "",
          mode: "read",
          job,
          kill: cancelledAndDead,
          events: [],
        });
        assert.equal(events.at(-1), "clean");
        assert.ok(events.filter((event) => event === "TERM").length <= 1);
      }
    });
  }
}

/** Plays a case to the end of its job, and answers what the job noted. Checks that nothing is left. */
async function play(program: URL, { mode, job, kill, when = "pid" }: Case): Promise<string[]> {
  const dir = await Deno.makeTempDir({ prefix: "runner-death-" });
  let session = 0;
  try {
    await Deno.mkdir(`${dir}/logs`);
    const events = `${dir}/events`;
    const command = [...await writeScript(dir, DUMP), events, job];
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", program.pathname, mode, dir, ...command],
      stdin: "piped",
      detached: true,
    }).spawn();
    const stdin = child.stdin.getWriter();
    await until(`the job notes "${when}"`, () => new RegExp(`^${when}.*\n`, "m").test(fileText(events)));
    await pause(300); // until bytes flow
    session = sessionOf(Number(/^pid (\d+)/m.exec(fileText(events))![1]));
    await kill(child, (word) => stdin.write(new TextEncoder().encode(`${word}\n`)));
    await child.status;
    await Deno.writeTextFile(`${events}.killed`, "");
    await stdin.close().catch(() => {});
    await until("nothing of the job is left", () => sessionMembers(session).length === 0);
    assert.deepEqual(await Array.fromAsync(Deno.readDir(`${dir}/logs`)), []);
    assert.equal(fileText(`${events}.lock`), "", "the lock is left");
    return fileText(events).trim().split("\n").slice(1);
  } finally {
    for (const pid of session ? sessionMembers(session) : []) Deno.kill(pid, "SIGKILL");
    await Deno.remove(dir, { recursive: true });
  }
}
