/**
 * The programs that we run on a node, in POSIX sh with nothing but coreutils, findutils and util-linux.
 *
 * How they talk to us: a line that begins with `$mark` is for us. The first one on stdout says whether the program
 * is at work (`ready`), or why not (`failed`, `not-found PATH`, `not-executable FILE`, `irregular`); all before it is
 * noise of login files, all after it the program's output. The first one on stderr ends the noise there; the second
 * one tells the exit status: a channel's own end may wait for a process that was left behind, and an ssh that ends
 * with status 255 may have failed itself (ssh(1), EXIT STATUS).
 *
 * The end of stdin is our death, or the loss of the connection. None of them stops half-way on a broken pipe when
 * that would leave something behind.
 */

import { FEED_JOB, INPUT_FD } from "../feed_guard.ts";
import { DIR_GUARD, intoLog, READ_JOB } from "../guard.ts";
import { quoteWords } from "../../core/shell_words.ts";

/** What a program gets besides its text. */
export interface Program {
  readonly text: string;
  readonly args: readonly string[];
}

/** The whole text that the node's sh reads. */
export function wholeText({ text, args }: Program, marker: string): string {
  return `mark='${marker}'\n${PREAMBLE}set -- ${quoteWords(args)}\n${text}`;
}

// A fixed locale, since messages of the tools are read by us. A login that is not root's may lack the directories
// where Proxmox installs qm, pct and qmrestore.
const PREAMBLE = `over() { printf '%s %s\\n' "$mark" "$*" >&2; }
over begin
LC_ALL=C PATH=\${PATH:-/usr/local/bin:/usr/bin:/bin}
for dir in /usr/sbin /sbin; do
  case :$PATH: in
    *":$dir:"*) ;;
    *) PATH=$PATH:$dir ;;
  esac
done
export LC_ALL PATH
greet() { printf '%s %s\\n' "$mark" "$*"; }
fail() {
  greet failed
  exit 1
}
`;

// Behind a shell a missing tool would only be a status 127.
const FIND_TOOL = `find_tool() (
  plain=
  try() {
    [ -f "$1" ] || return 0
    [ -x "$1" ] && echo ready && exit
    plain=\${plain:-$1}
  }
  case $1 in
    */*) try "$1" ;;
    *)
      IFS=:
      set -f
      for dir in $PATH; do try "$dir/$1"; done
      ;;
  esac
  if [ "$plain" ]; then echo "not-executable $plain"; else echo "not-found $PATH"; fi
)
need() {
  answer=$(find_tool "$1")
  [ "$answer" = ready ] || { greet "$answer"; exit; }
}
`;

/** Says whether a tool is there: `TOOL`. */
export const FIND = `${FIND_TOOL}need "$1"
greet ready
`;

// `HOLD COMMAND…`. Without a process in between, so that signals reach the command.
const HELD_COMMAND = `${FIND_TOOL}hold=$1
shift
need "$1"
[ "$hold" ] && [ "$(find_tool flock)" = ready ] && set -- flock --no-fork --shared "$hold" "$@"
`;

/**
 * Runs a short command: `HOLD COMMAND…`, HOLD may be empty. A line on stdin ends it and what it started; so does the
 * end of stdin, unless it holds a file: who waits for that file counts on its work being done (a shutdown that was
 * asked for happens anyway). Ends its stdout with a marked line too.
 */
export const SHORT_COMMAND = `${HELD_COMMAND}greet ready
exec 3<&0 4>&2 </dev/null 2>/dev/null
setsid "$@" 2>&4 3<&- 4>&- &
job=$!
{
  read -r word <&3 || [ -z "$hold" ] || exit
  kill -s TERM -- "-$job" || kill -s TERM "$job"
  sleep 5
  kill -s KILL -- "-$job"
} >/dev/null 4>&- &
watch=$!
exec 3<&-
wait "$job"
status=$?
kill "$watch"
over end 2>&1
over "$status" 2>&4
`;

/**
 * Runs a filter: `COMMAND…`. Tells the pid of its process group with \`ready\`, and input that it left over
 * (\`left\`) with its status: bytes that reached the node were not taken by that alone.
 */
export const FILTER = `${FIND_TOOL}need "$1"
exec 3<&0 4>&2 </dev/null 2>/dev/null
setsid /bin/sh -c 'printf "%s ready %s\\n" "$0" "$$"; exec "$@"' "$mark" "$@" <&3 2>&4 3<&- 4>&- &
job=$!
exec >/dev/null
wait "$job"
status=$?
[ "$status" = 0 ] && [ "$(head -c 1 <&3 | wc -c)" != 0 ] && status='0 left'
over "$status" 2>&4
`;

/** Runs a command with all three streams for itself: `COMMAND…`. */
export const PASS = `${FIND_TOOL}need "$1"
greet ready
(exec "$@")
over "$?"
`;

/** Kills the filter whose process group is `$1`. */
export const KILL_GROUP = `greet ready
kill -s KILL -- "-$1"
`;

// The log of a job, in the new file `$log`. It has lost its name before the job starts. What relays it to us is a
// process of its own: when the way to us breaks, that dies alone, and one that cannot get rid of its bytes keeps
// nobody waiting. Another process keeps the log small: it empties it once all was relayed, lets the relay skip what
// it cannot catch up with (their file offset is the same), and of a flood that goes on even empties what is unread.
const KEPT_LOG = 4 * 1024 * 1024;
const FLOOD = 16 * 1024 * 1024;
const OPEN_LOG =
  `(umask 077 && set -C && : >"$log") && command exec 5>>"$log" 6<"$log" && rm -f -- "$log" || fail
tail --pid=$$ --sleep-interval=0.2 --bytes=+1 --follow <&6 >&2 2>/dev/null 5>&- 6<&- &
flood=
while sleep 1 && [ -d /proc/$$ ]; do
  size=$(stat -L -c %s /proc/self/fd/5)
  read -r key relayed </proc/self/fdinfo/6
  unread=$((size - relayed))
  if [ "$unread" -gt ${FLOOD} ]; then
    dd bs=1 skip=$((unread - ${KEPT_LOG})) count=0 <&6
    [ "$flood" ] && : >/proc/self/fd/5
    flood=yes
  else
    flood=
    [ "$size" -gt ${KEPT_LOG} ] && [ "$unread" -le 0 ] && : >/proc/self/fd/5
  fi
done </dev/null >/dev/null 2>&1 &
greet ready
exec 2>&5 5>&- 6<&-
`;

/** Runs a job whose stdout is read: `LOG GRACE PATIENCE HOLD COMMAND…`. */
export const READ = `log=$1 grace=$2 patience=$3
shift 3
${HELD_COMMAND}${OPEN_LOG}${READ_JOB}`;

/** The same with stdout in the log. */
export const FINISH_OR_STOP = `log=$1 grace=$2 patience=$3
shift 3
${HELD_COMMAND}set -- ${quoteWords(intoLog([]))} "$@"
${OPEN_LOG}${READ_JOB}`;

/** Runs a job whose stdout goes to its log too, and which is left to finish: the same arguments. */
export const FINISH = `log=$1
shift 3
${HELD_COMMAND}${OPEN_LOG}exec </dev/null >&2 3>&2 2>/dev/null
(exec "$@" 2>&3 3>&-)
over "$?" 2>&3
`;

/** Runs a job that is fed: `LOG GRACE PATIENCE HOLD COMMAND…`. */
export const FEED = `log=$1 patience=$3
shift 3
tell() { echo "$1"; }
${HELD_COMMAND}${OPEN_LOG}${FEED_JOB}`;

/**
 * Feeds such a job: `PID`. When this one dies or loses its stdin, the job sees no end of its input: its guard holds
 * the pipe too.
 */
export const FEED_INPUT = `command exec 3>"/proc/$1/fd/${INPUT_FD}" || fail
greet ready
cat >&3
over "$?"
`;

/** Sees to a directory of ours: `DIR`. */
export const GUARD_DIR = `greet ready
exec >/dev/null 2>&1
${DIR_GUARD}`;

/** Delivers the bytes of a regular file: `FILE`. */
export const READ_FILE = `kind=$(stat -L -c %F -- "$1") || fail
case $kind in
  regular*) greet ready ;;
  *) greet irregular; exit ;;
esac
cat -- "$1"
over "$?"
`;

/**
 * Writes a new file, mode 0600: `FILE WHOLE PART`. The bytes end with one of the two trailers, which are of the same
 * length and nobody else can know: `cat` cannot tell the end of its input from a lost connection. After WHOLE the
 * file is synced and its size confirmed; after PART it is left as it is; without either it is removed.
 */
export const WRITE_FILE = `umask 077
dd if=/dev/null of="$1" conv=excl status=none || fail
command exec 3>>"$1" || fail
greet ready
if cat >&3; then
  trailer=$(tail -c \${#2} -- "$1" | tr -d '\\0')
  case $trailer in
    "$2" | "$3")
      truncate -s "-\${#2}" -- "$1" || { rm -f -- "$1"; over 1; exit; }
      [ "$trailer" = "$3" ] && { over 0; exit; }
      sync -- "$1" && sync -- "$(dirname -- "$1")" && stat -c %s -- "$1" && { over 0; exit; }
      ;;
  esac
fi
rm -f -- "$1"
over 1
`;

/** Holds an exclusive flock on a new file until stdin ends: `FILE`. */
export const LOCK_FILE = `umask 077
dd if=/dev/null of="$1" conv=excl status=none || fail
command exec 3>>"$1" && flock --exclusive 3 || fail
greet ready
exec >/dev/null 2>&1
read -r word
`;
