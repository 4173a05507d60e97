/**
 * The guard of a job that eats what we feed it, such as `qmrestore -`: a truncated input must make it fail.
 *
 * What it promises beyond `guard.ts`:
 * - The job's stdin is a pipe without a name, of which the guard holds a write end: whoever else writes into it may
 *   end or die, the job gets its end of input only by the word `end`.
 * - Without that word, by `kill` or by our death, the job gets one SIGTERM, as Proxmox's tools clean up by themselves
 *   then; not before it has said something, up to some seconds: until their worker talks they do not, and leave a
 *   locked guest. What still reads the input after the job's end, or after `$patience` seconds, is killed before the pipe ends:
 *   the workers of these tools are in sessions of their own (pve-common, RESTEnvironment.pm, fork_worker), and live on
 *   when the tool that we started is killed.
 * - A job that leaves bytes of its input unread has failed, whatever it says itself. One that ends well without waiting
 *   for the end of it has not: tar, and so `pct restore`, reads no further than its end mark.
 */

import { GUARD_NAME, type JobLimits, OPEN_LOG, seconds } from "./guard.ts";

/** The descriptor of the guard that writes into the job's input, for `/proc/PID/fd/`. */
export const INPUT_FD = 8;

/** How long a job that says nothing may take to begin. */
const START_SECONDS = 10;

/**
 * Runs the command `$@` with stderr as its open log, which gets stdout too. Tells by `tell PID` whose descriptor
 * `INPUT_FD` is to be opened for writing, waits for the word `start`, calls `over STATUS` at the end.
 */
export const FEED_JOB = `child_of() {
  parent=
  while read -r key parent; do [ "$key" = PPid: ] && break; done <"/proc/$1/status"
  [ "$parent" = "$2" ]
}
kill_readers() {
  for round in 1 2 3 4 5 6 7 8 9 10; do
    readers=$(exec 5<&-; find /proc/[0-9]*/fd -maxdepth 1 -lname "$input" -perm -u=r ! -path "/proc/$self/*")
    [ "$readers" ] || return
    kill -KILL $(echo "$readers" | cut -d / -f 3)
    sleep 0.1
  done
}
has_begun() { [ -s /proc/self/fd/4 ]; }
has_unread() { [ "$(dd iflag=nonblock bs=1 count=1 <&5 | wc -c)" = 1 ]; }
exec 3<&0 4>&2 2>/dev/null
: | {
  start=$((${START_SECONDS} * 5))
  exec 5<&0 ${INPUT_FD}>/proc/self/fd/0 </dev/null
  read -r self rest </proc/self/stat
  input=$(readlink /proc/self/fd/${INPUT_FD} | sed 's/[][]/\\\\&/g')
  tell "$self"
  read -r word <&3 && [ "$word" = start ] || exit 125
  exec >/dev/null
  "$@" <&5 >&4 2>&4 3<&- 4>&- 5<&- ${INPUT_FD}>&- &
  job=$!
  {
    exec 5<&-
    while read -r word <&3; do
      case $word in
        end) exit ;;
        kill) break ;;
      esac
    done
    wait=$start
    while [ "$wait" -gt 0 ] && child_of "$job" "$self" && ! has_begun; do sleep 0.2; wait=$((wait - 1)); done
    child_of "$job" "$self" && kill -TERM "$job"
    while [ "$patience" -gt 0 ] && child_of "$job" "$self"; do sleep 1; patience=$((patience - 1)); done
    kill_readers
    child_of "$job" "$self" && kill -KILL "$job"
  } &
  watch=$!
  exec 3<&- ${INPUT_FD}>&-
  wait "$job"
  status=$?
  is_told() { [ ! -e "/proc/$watch/fd/${INPUT_FD}" ]; }
  is_told || kill_readers
  told=
  until [ "$status" != 0 ] || [ "$told" ]; do
    if is_told; then told=yes; else sleep 0.1; fi
    has_unread && echo "ERROR: it ended before its input did" >&4 && status=1
  done
  child_of "$watch" "$self" && kill "$watch"
  over "$status" 2>&4
  exit "$status"
}
`;

/** `sh -c FEED_GUARD name LOG PATIENCE COMMAND…` */
const FEED_GUARD = `${OPEN_LOG}patience=$2
shift 2
tell() { echo "$1"; }
over() { :; }
${FEED_JOB}`;

/** Arguments of `sh` that run `command` as a job that is fed. */
export function feedGuardArgs(
  log: string,
  { patience }: Pick<JobLimits, "patience">,
  command: readonly string[],
): string[] {
  return ["-c", FEED_GUARD, GUARD_NAME, log, seconds(patience), ...command];
}
