import type { Buffer } from "node:buffer";
import { messageOf, UserError } from "../../core/errors.ts";
import type { SshOptions } from "../remote/ssh_target.ts";
import { hostKeyAlgorithms, type HostKeyQuestion, type HostKeyVerdict, judgeHostKey } from "./host_keys.ts";
import { fingerprint, hostKey } from "./known_hosts.ts";
import { readKnownHosts, recordHostKey } from "./known_hosts_files.ts";
import { accountLabel, hostNames } from "./names.ts";

/** Keys that this run was the first to see: recorded meanwhile, yet nobody has looked at them. */
const seenFirst = new Set<string>();

/** Checks the host key of one connection. */
export class HostKeyCheck {
  #accepted: Buffer | undefined;
  #verdict: HostKeyVerdict | undefined;

  private constructor(readonly question: HostKeyQuestion, readonly say: (text: string) => void) {}

  /** Reads the known_hosts files, anew for each connection: another process may have added to them. */
  static async prepare(options: SshOptions, home: string | undefined): Promise<HostKeyCheck> {
    const { target, trust, say } = options;
    const known = await readKnownHosts(trust, home);
    return new HostKeyCheck({ label: accountLabel(target), names: hostNames(target), trust, known }, say);
  }

  /** Host key algorithms to ask for, from the most wanted. */
  get algorithms(): string[] {
    return hostKeyAlgorithms(this.question);
  }

  /** Why the key was refused. */
  get error(): UserError | undefined {
    return this.#verdict?.isAccepted === false ? this.#verdict.error : undefined;
  }

  /** Whether the accepted key was pinned or recorded before this run, so that a password may go there. */
  get isKnown(): boolean {
    return this.#verdict?.isAccepted === true && this.#verdict.isKnown;
  }

  /** Whether to go on with the machine that shows `blob`; asked again when keys are renewed on a connection. */
  accepts(blob: Buffer): boolean {
    if (this.#accepted) return this.#accepted.equals(blob);
    this.#verdict = this.#judge(blob);
    if (this.#verdict.isAccepted) this.#accepted = blob;
    return this.#verdict.isAccepted;
  }

  /** Records a new key. To be called when the machine has proved that the key is its own: ssh2 asks us before. */
  async record(): Promise<void> {
    if (!this.#verdict?.isAccepted) return;
    const { record, say } = this.#verdict;
    if (record !== undefined) await this.#write(record, say!);
    else if (say !== undefined) this.say(say);
  }

  async #write(line: string, say: string): Promise<void> {
    const { recordIn } = this.question.trust;
    try {
      if (await recordHostKey(recordIn, line)) this.say(say);
    } catch (error) {
      throw new UserError(
        "usage",
        `Cannot record the host key of "${this.question.label}" in "${recordIn}": ${messageOf(error)}`,
        { hint: "make the file writable, or pin the key by host_key_fingerprint", cause: error },
      );
    }
  }

  #judge(blob: Buffer): HostKeyVerdict {
    const key = hostKey(blob);
    if (!key) {
      const message = `Cannot trust "${this.question.label}": its host key cannot be read`;
      return { isAccepted: false, error: new UserError("unreachable", message) };
    }
    const verdict = judgeHostKey(this.question, key);
    if (!verdict.isAccepted || this.question.trust.fingerprint !== undefined) return verdict;
    const id = `${this.question.names.recorded} ${fingerprint(key)}`;
    if (!verdict.isKnown) seenFirst.add(id);
    return { ...verdict, isKnown: !seenFirst.has(id) };
  }
}
