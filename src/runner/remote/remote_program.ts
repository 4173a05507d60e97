import { type ByteSource, TRANSFER_BYTES } from "../../core/bytes.ts";
import { UserError } from "../../core/errors.ts";
import { LINGER } from "../child_streams.ts";
import { lastWords, midSentence } from "../command_error.ts";
import { LogTail } from "../log_tail.ts";
import type { Channel, ChannelEnd, Channels } from "./channel.ts";
import { commandLine, programLine } from "./command_line.ts";
import { findMarker, joined, MarkedLines, newMarker } from "./marked_lines.ts";
import { type Program, wholeText } from "./programs.ts";

/** Bytes that login files may say before our program does. */
const MAX_NOISE = 64 * 1024;

/** Milliseconds for a login shell to come to our program. */
const GREETING_WAIT = 60_000;

/** A node's account, and how our programs run there. */
export interface Reach {
  channels: Channels;
  /** Whether they become root by sudo. */
  sudo: boolean;
}

/** One of our programs at work on a node, past what its login files had to say. */
export class RemoteProgram implements Channel {
  readonly output: ByteSource;
  /** How it ended, as soon as that is known: what it wrote may still be on its way. */
  readonly exited: Promise<ChannelEnd>;
  /** How it ended once nothing more can come: status 0 only when the channel ended well too. */
  readonly ended: Promise<ChannelEnd>;

  private constructor(
    readonly channel: Channel,
    /** What the program answered: a word and maybe more, see `programs.ts`. */
    readonly greeting: Greeting,
    /** What it told about its end; pending when it told nothing. */
    readonly told: Promise<Told>,
    readonly marker: string,
  ) {
    this.output = new OutputSource(greeting.rest, channel.output);
    this.exited = Promise.race([told.then(({ status }) => ({ status })), channel.ended]);
    this.ended = wholeEnd(channel, told);
  }

  /**
   * Starts a program; `onStderr` gets what it says, without the noise before.
   *
   * @throws {UserError} of kind `unreachable` when the program does not come to its first word
   */
  static async start(
    reach: Reach,
    program: Program,
    onStderr: (chunk: Uint8Array) => void,
  ): Promise<RemoteProgram> {
    const marker = newMarker();
    const stderr = new ProgramStderr(marker, onStderr);
    const line = programLine(wholeText(program, marker));
    const channel = await reach.channels.open(commandLine(reach.sudo), (chunk) => stderr.lines.push(chunk));
    channel.ended.then(() => stderr.lines.end());
    channel.write(line).catch(() => {}); // one that already went away is heard by `takeGreeting`
    try {
      const greeting = await takeGreeting(channel, marker);
      return new RemoteProgram(channel, greeting, stderr.told.promise, marker);
    } catch (error) {
      channel.close();
      if (!(error instanceof NoGreeting)) throw error;
      throw explained(error, reach, stderr.noise.toString());
    }
  }

  write(chunk: Uint8Array): Promise<void> {
    return this.channel.write(chunk);
  }

  closeInput(): Promise<void> {
    return this.channel.closeInput();
  }

  close(): void {
    this.channel.close();
  }

  /** Closes the channel, but lets it end by itself within a moment. */
  async release(): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const enough = new Promise<void>((resolve) => timer = setTimeout(resolve, LINGER));
    await Promise.race([this.channel.ended, enough]);
    clearTimeout(timer);
    this.close();
  }
}

/** How a program told that it ended. */
interface Told {
  status: number;
  /** Input was left over, see `FILTER`. */
  left: boolean;
}

interface Greeting {
  word: string;
  detail: string;
  /** What came with it. */
  rest: Uint8Array;
}

/** What comes on stderr: noise of login files, then the program's own words, then how it ended. */
class ProgramStderr {
  readonly noise = new LogTail();
  readonly told = Promise.withResolvers<Told>();
  readonly lines: MarkedLines;

  constructor(marker: string, onStderr: (chunk: Uint8Array) => void) {
    let marks = 0;
    this.lines = new MarkedLines(marker, (bytes) => {
      if (marks === 0) this.noise.push(bytes);
      if (marks === 1) onStderr(bytes);
    }, (text) => {
      if (++marks === 2) this.told.resolve({ status: parseInt(text), left: text.endsWith(" left") });
    });
  }
}

/** What the program told must be what the channel's end says: bytes on their way are lost when the channel is. */
async function wholeEnd(channel: Channel, told: Promise<Told>): Promise<ChannelEnd> {
  const early = await Promise.race([told, channel.ended.then(() => undefined)]);
  if (early && early.status !== 0) return { status: early.status };
  const end = await channel.ended;
  if ("lost" in end || end.status !== 0 || early) return end;
  return { lost: new Error("the node did not tell how the command ended") };
}

/** A program's output after its greeting; whether it is whole is told by the end alone. */
class OutputSource implements ByteSource {
  constructor(private beginning: Uint8Array, private readonly rest: ByteSource) {}

  async read(view: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
    if (this.beginning.length > 0) {
      const part = this.beginning.subarray(0, view.length);
      view.set(part);
      this.beginning = this.beginning.subarray(part.length);
      return view.subarray(0, part.length);
    }
    return await this.rest.read(view).catch(() => new Uint8Array(0));
  }

  cancel(reason: unknown): Promise<void> {
    this.beginning = new Uint8Array(0);
    return this.rest.cancel(reason);
  }
}

/** The program did not come to its first word: `end` of its channel, or `undefined` when we closed it. */
class NoGreeting extends Error {
  constructor(readonly end: ChannelEnd | undefined, readonly said: string) {
    super("no greeting");
  }
}

/** Reads a program's first line for us. */
async function takeGreeting(channel: Channel, marker: string): Promise<Greeting> {
  const mark = new TextEncoder().encode(marker);
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    channel.close();
  }, GREETING_WAIT);
  let said = new Uint8Array(0);
  try {
    for (;;) {
      const chunk = await channel.output.read(new Uint8Array(TRANSFER_BYTES)).catch(() => new Uint8Array(0));
      said = joined(said, chunk);
      const greeting = parseGreeting(said, mark);
      if (greeting) return greeting;
      if (chunk.length > 0 && said.length <= MAX_NOISE) continue;
      const end = chunk.length === 0 && !late ? await channel.ended : undefined;
      throw new NoGreeting(end, new TextDecoder().decode(said));
    }
  } finally {
    clearTimeout(timer);
  }
}

function parseGreeting(said: Uint8Array, mark: Uint8Array): Greeting | undefined {
  const start = findMarker(said, mark);
  const end = start < 0 ? -1 : said.indexOf(0x0a, start);
  if (end < 0) return undefined;
  const line = new TextDecoder().decode(said.subarray(start + mark.length, end)).trim();
  const [, word = "", detail = ""] = /^(\S*) ?(.*)$/s.exec(line) ?? [];
  return { word, detail, rest: said.slice(end + 1) };
}

/** What a user should know when our program did not come to its first word. */
function explained({ end, said }: NoGreeting, { channels: { label }, sudo }: Reach, stderr: string): Error {
  const whole = end === undefined ? said.slice(0, said.lastIndexOf("\n") + 1) : said; // without a line that we cut
  const words = lastWords(stderr) || lastWords(whole);
  const what = sudo ? `Cannot become root on "${label}" by sudo` : `Cannot run commands on "${label}"`;
  const quoted = words === "" ? "" : ` ("${words.slice(0, 200)}")`;
  if (end === undefined) {
    const problem = said.length >= MAX_NOISE
      ? `its login files say more than ${MAX_NOISE / 1024} KiB${quoted}`
      : `no answer within ${GREETING_WAIT / 1000} s${quoted}`;
    const hint = "login files must be silent and ask nothing when they run for a command";
    return new UserError("unreachable", `${what}: ${problem}`, { hint });
  }
  if ("lost" in end) {
    if (end.lost instanceof UserError) return end.lost;
    return new UserError("unreachable", `${what}: ${midSentence(end.lost)}`, { cause: end.lost });
  }
  const message = `${what}: exit status ${end.status}${quoted}`;
  const hint = "sudoers must have a rule that allows it without a password (NOPASSWD)";
  return new UserError("unreachable", message, sudo ? { hint } : {});
}
