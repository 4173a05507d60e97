import { messageOf, UserError } from "../../core/errors.ts";
import { LogTail } from "../log_tail.ts";
import type { Channel, Channels } from "../remote/channel.ts";
import { ChildChannels } from "../remote/child_channel.ts";
import { quoteWords } from "../../core/shell_words.ts";
import { complaint } from "./complaint.ts";
import { ENVIRONMENT, fileValue, settingArgs } from "./settings.ts";

/** Longest path of a socket that ssh takes: it binds one with 17 characters more (mux.c), of 108 (unix(7)). */
const MAX_SOCKET_PATH = 90;

/** Milliseconds that a login may take beyond the time to connect: agents and hardware keys ask people. */
const LOGIN_TIMEOUT = 60_000;

/** Milliseconds for ssh and its folder to go. */
const LAST_WAIT = 10_000;

/** What ssh says to us once others can use its connection. */
const READY = "ready";

// ssh -N does not notice that nobody needs it any more, so a shell holds on to it: the end of stdin, which our death
// is too, ends both, and the folder goes with them. One signal is not enough: ssh looks whether it came and then waits
// for its next event, and a signal in between is seen only after that (clientloop.c).
const KEEPER = `folder=$1
shift
exec 3<&0 </dev/null
"$@" 3<&- &
master=$!
exec >/dev/null
{ read -r word <&3; while kill "$master"; do sleep 0.2; done; } 2>/dev/null &
watch=$!
exec 3<&-
wait "$master"
status=$?
kill "$watch" 2>/dev/null
rm -rf -- "$folder"
exit "$status"
`;

export interface MasterOptions {
  label: string;
  /** Settings of every ssh, see `settingsOf`. */
  settings: readonly string[];
  /** Arguments that name the account. */
  account: readonly string[];
  /** Milliseconds. */
  connectTimeout: number;
}

/** A connection that others share: an `ssh` that holds a control socket (ssh_config(5), ControlMaster). */
export class Master {
  private constructor(
    /** Setting for those that share it. */
    readonly controlPath: string,
    readonly channel: Channel,
    readonly keeper: Channels,
    /** What ssh says until it has logged in. */
    private readonly greeting: LogTail,
    /** What it says afterwards. */
    private readonly words: LogTail,
  ) {}

  /** Whether ssh has recorded the host key, since the host was new. */
  get hasRecordedKey(): boolean {
    return /^Warning: Permanently added /m.test(this.greeting.toString());
  }

  /** Why the connection is over, as far as ssh has said so. */
  get lastWords(): string {
    return this.words.toString();
  }

  /**
   * Connects and logs in.
   *
   * @throws {UserError} of kind `unreachable`
   */
  static async connect(options: MasterOptions): Promise<Master> {
    const folder = await privateFolder();
    const socket = `${folder}/socket`;
    const settings = [
      ...options.settings,
      "LogLevel=INFO",
      "ControlMaster=yes",
      "ControlPersist=no",
      `ControlPath=${fileValue(socket)}`,
      "PermitLocalCommand=yes",
      `LocalCommand=echo ${READY}`,
    ];
    const ssh = ["ssh", "-N", ...settingArgs(settings), ...options.account];
    const keeper = new ChildChannels({
      label: options.label,
      argv: ["/bin/sh", "-c"],
      env: ENVIRONMENT,
      killOnClose: false,
    });
    const [greeting, words] = [new LogTail(), new LogTail()];
    let isReady = false;
    const command = `set -- ${quoteWords([folder, ...ssh])}\n${KEEPER}`;
    const channel = await keeper.open(command, (bytes) => (isReady ? words : greeting).push(bytes));
    const master = new Master(`ControlPath=${fileValue(socket)}`, channel, keeper, greeting, words);
    await master.#ready(options);
    isReady = true;
    return master;
  }

  /** Settles when the connection is over. */
  get ended(): Promise<unknown> {
    return this.channel.ended;
  }

  /** Ends the connection, and waits until nothing is left of it. */
  async close(): Promise<void> {
    await this.channel.closeInput().catch(() => {}); // it is over already
    let timer: ReturnType<typeof setTimeout> | undefined;
    const enough = new Promise<void>((resolve) => timer = setTimeout(resolve, LAST_WAIT));
    await Promise.race([this.channel.ended, enough]);
    clearTimeout(timer);
    this.channel.close();
    await this.keeper.close();
  }

  async #ready({ label, connectTimeout }: MasterOptions): Promise<void> {
    let late = false;
    const limit = connectTimeout + LOGIN_TIMEOUT;
    const timer = setTimeout(() => {
      late = true;
      this.channel.close();
    }, limit);
    const word = await this.channel.output.read(new Uint8Array(64)).catch(() => new Uint8Array(0));
    clearTimeout(timer);
    if (word.length > 0) return;
    await this.channel.ended;
    await this.close();
    this.greeting.end();
    if (!late) throw complaint(label, this.greeting.toString());
    throw new UserError("unreachable", `Cannot log in to "${label}": no end after ${limit / 1000} s`);
  }
}

/** A new directory, 0700, with a path that leaves room for a socket. */
async function privateFolder(): Promise<string> {
  const options = { prefix: "plakar-proxmox-" };
  try {
    const folder = await Deno.makeTempDir(options);
    if (folder.length <= MAX_SOCKET_PATH - "/socket".length) return folder;
    await Deno.remove(folder);
    return await Deno.makeTempDir({ ...options, dir: "/tmp" });
  } catch (cause) {
    throw new UserError("failed", `Cannot make a directory for ssh's socket: ${messageOf(cause)}`, { cause });
  }
}
