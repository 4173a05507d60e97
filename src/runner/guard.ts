/**
 * The guard: a small `sh` between us and a command that must not be torn down half-way.
 *
 * What it promises, for POSIX `sh` on Linux (dash and bash are tested), by nothing but stdin, stdout and a log file:
 * - The command writes its log to a file that has no name any more, so a broken pipe of ours cannot cut the
 *   command's cleanup, and nothing is left when everybody dies.
 * - Only the command holds the write end of stdout: its end, and the broken pipe after our death, are exact.
 * - The command gets at most one SIGTERM, never one while its log shows that it is cleaning up already
 *   (a second reason to stop cuts the cleanup of Proxmox's tools and leaves their locks behind).
 * - The exit status is the command's, 128 + signal number when a signal ended it, 127 when it was not found,
 *   126 when it could not be executed.
 *
 * The guard must be started in a session of its own, and never be signalled: that would end the guard alone.
 */

/** How long a job may go on when it should stop. Milliseconds; the guard counts whole seconds. */
export interface JobLimits {
  /** After our death: until a job that has delivered no byte yet gets its SIGTERM. */
  grace: number;
  /**
   * After our death: until a job that has delivered bytes gets its SIGTERM. Long, since its next write
   * meets the broken pipe, and the cleanup that follows must not be disturbed. For a job that is fed: after its
   * SIGTERM, until it is killed.
   */
  patience: number;
  /** After `cancel`: until stdout is closed under a job that does not end. */
  drain: number;
  /** After the job's exit: until stdout is given up that a process it left behind keeps open. */
  linger: number;
}

export const JOB_LIMITS: Readonly<JobLimits> = {
  grace: 15_000,
  patience: 600_000,
  drain: 900_000,
  linger: 30_000,
};

/** What we tell the guard, one line each. */
export type GuardWord =
  /** The job has delivered its first bytes. */
  | "bytes"
  /** Stop the job now. */
  | "stop"
  /** The pipe is open that feeds the job: start it, see `feed_guard.ts`. */
  | "start"
  /** The job's input is whole. */
  | "end"
  /** The job's input will never be whole. */
  | "kill";

// All of this happens before the guard's own stderr ends: when it ends without a word, the log is open, has no
// name any more, and the guard is at work. "command" keeps dash from leaving at once when the redirection of a
// special builtin fails.
export const OPEN_LOG = `command exec 3>>"$1" && rm -f -- "$1" || exit 125
exec 2>&3 3>&-
`;

// Lines by which vzdump shows that its data is through or given up; what follows is cleanup. A failed fs-freeze
// or fs-thaw logs an error too, and the backup goes on.
const CLEANUP_SIGNS =
  "^(ERROR: |INFO: (aborting backup job|transferred |Total bytes written: |cleanup temporary ))";
const NO_SIGN = "guest-fsfreeze-";

/**
 * Runs the command `$@`, with `$grace` and `$patience` in seconds and stderr as its open log; calls `over STATUS` at
 * the end. stdin takes {@linkcode GuardWord} lines, its end is our death.
 *
 * A pid alone proves nothing once its process was waited for, so each signal asks first whether the pid still
 * is a child of the guard. A stop waits a moment and then asks whether its sender still lives: if not, the
 * broken pipe is at work already. The sender is our parent, or sudo's, which stays when its own parent is gone.
 * The guard itself says nothing in the log: a shell would add its "Terminated" to the job's last words.
 */
export const READ_JOB = `parent_of() {
  parent=
  while read -r key parent; do [ "$key" = PPid: ] && break; done <"/proc/$1/status"
}
child_of() {
  parent_of "$1"
  [ "$parent" = "$2" ]
}
cleans_up() { grep -aE '${CLEANUP_SIGNS}' /proc/self/fd/4 | grep -avq '${NO_SIGN}'; }
exec 3<&0 4>&2 </dev/null 2>/dev/null
last=$$ sender=$PPID
while read -r name <"/proc/$sender/comm" && [ "$name" = sudo ]; do
  last=$sender
  parent_of "$last"
  sender=$parent
done
exec "$@" 2>&4 3<&- 4>&- &
job=$!
exec >/dev/null
{
  delay=$grace
  while read -r word <&3; do
    case $word in
      bytes) delay=$patience ;;
      stop)
        sleep 0.2
        cleans_up && exit
        child_of "$job" $$ && child_of "$last" "$sender" && kill -TERM "$job" && exit ;;
    esac
  done
  while [ "$delay" -gt 0 ]; do sleep 1; delay=$((delay - 1)); done
  cleans_up || { child_of "$job" $$ && kill -TERM "$job"; }
} &
watch=$!
exec 3<&-
wait "$job"
status=$?
child_of "$watch" $$ && kill "$watch"
over "$status" 2>&4
exit "$status"
`;

/** `sh -c READ_GUARD name LOG GRACE PATIENCE COMMAND…` */
const READ_GUARD = `${OPEN_LOG}grace=$2 patience=$3
shift 3
over() { :; }
${READ_JOB}`;

/** `sh -c FINISH_GUARD name LOG COMMAND…`: the log takes stdout too, and our death changes nothing. */
const FINISH_GUARD = `${OPEN_LOG}shift
exec </dev/null >&2
exec "$@"
`;

/**
 * `sh -c DIR_GUARD name DIR`: a line on stdin and it leaves. Our death, and once nobody holds DIR/busy it starts the
 * guest that DIR/restart names (tool, vmid), which was stopped for a restore, and removes DIR. A guest without any
 * disk is what a failed restore left, and is not started; where DIR/unfinished names it, nobody stood there before,
 * and it is removed. What is left of a guest, or was one that DIR/replacing names, must be told, and so must a guest of
 * which DIR/streamed says that nobody knows whether its stream was whole: then the notes stay.
 */
export const DIR_GUARD = `read -r word && exit 0
exec 9<>"$1/busy" && flock --exclusive 9 || exit 1
guest_of() { { read -r tool && read -r vmid; } <"$1" && case $tool in qm | pct) ;; *) false ;; esac; }
config_of() { guest_of "$1" && config=$("$tool" config "$vmid"); }
has_disks() { printf '%s\\n' "$config" | grep -qE '^(ide|sata|scsi|virtio|efidisk|tpmstate|rootfs)[0-9]*:'; }
is_told=
if config_of "$1/restart" && has_disks; then "$tool" start "$vmid"; fi
if config_of "$1/unfinished"; then
  if ! has_disks; then "$tool" destroy "$vmid" || is_told=yes
  elif [ -e "$1/streamed" ]; then is_told=yes
  fi
fi
if guest_of "$1/replacing"; then config_of "$1/replacing" && has_disks || is_told=yes; fi
if [ "$is_told" ]; then rm -f -- "$1"/vzdump-*; else rm -rf -- "$1"; fi
`;

/** Arguments of `sh` that guard a directory of ours. */
export function dirGuardArgs(dir: string): string[] {
  return ["-c", DIR_GUARD, GUARD_NAME, dir];
}

/** Arguments of `sh` that run `command` as a job whose stdout is read. */
export function readGuardArgs(
  log: string,
  limits: Pick<JobLimits, "grace" | "patience">,
  command: readonly string[],
): string[] {
  return ["-c", READ_GUARD, GUARD_NAME, log, seconds(limits.grace), seconds(limits.patience), ...command];
}

/** As the guard counts. */
export function seconds(milliseconds: number): string {
  return String(Math.ceil(milliseconds / 1000));
}

/** `command` with its stdout in the log: as a job that is read, it can be stopped. */
export function intoLog(command: readonly string[]): string[] {
  return ["/bin/sh", "-c", 'exec "$@" >&2', GUARD_NAME, ...command];
}

/** Arguments of `sh` that run `command` as a job that is left to finish. */
export function finishGuardArgs(log: string, command: readonly string[]): string[] {
  return ["-c", FINISH_GUARD, GUARD_NAME, log, ...command];
}

/** `$0` of the guard: how its own messages begin in the log. */
export const GUARD_NAME = "guard";
