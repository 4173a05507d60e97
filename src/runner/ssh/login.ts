import { Buffer } from "node:buffer";
import { messageOf, UserError } from "../../core/errors.ts";
import type { SshOptions } from "../remote/ssh_target.ts";
import { readIdentity } from "./identity.ts";
import type { AuthRequest, KeyboardPrompt, KeyLibrary, LibraryAgent, LibraryKey } from "./library.ts";
import { accountLabel } from "./names.ts";

/** Attempts in all: sshd breaks off at the sixth failure (sshd_config(5), MaxAuthTries). */
const MOST_ATTEMPTS = 5;

/** Identity files that are tried unasked, in OpenSSH's order. */
const USUAL_IDENTITIES = ["id_ed25519", "id_ecdsa", "id_rsa"];

/** Methods that a password is sent by. */
const PASSWORD_METHODS = ["password", "keyboard-interactive"];

/** Milliseconds that an agent may take to list its keys. */
const AGENT_TIMEOUT = 5_000;

/** One attempt to log in. */
interface Attempt {
  /** Method of RFC 4252, as the server lists what it takes. */
  method: "publickey" | "password" | "keyboard-interactive";
  /** What it was, for the error; `agent key` is counted. */
  name: string;
  request: AuthRequest;
}

export interface LoginSurroundings {
  library: KeyLibrary;
  /** Folder with `.ssh`. */
  home: string | undefined;
  /** Whether the machine's key was pinned or recorded before this run. */
  mayHavePassword: () => boolean;
}

/** Proves who we are, one attempt after the other; made anew for each connection. */
export class Login {
  readonly #attempts: AsyncGenerator<Attempt, void>;
  readonly #refused: string[] = [];
  readonly #notes: string[] = [];
  readonly #offered = new Set<string>();
  #methods: readonly string[] = [];
  #isPasswordWithheld = false;

  constructor(readonly options: SshOptions, readonly around: LoginSurroundings) {
    this.#attempts = this.#everyAttempt();
  }

  /**
   * What to send next, or `false` when nothing is left. `methods` are those the server takes now, `null` before
   * it was asked; `isPartial` when it accepted the last one and wants another besides.
   *
   * @throws {UserError} of kind `usage` when a key file that was asked for cannot be used
   */
  async next(methods: readonly string[] | null, isPartial = false): Promise<AuthRequest | false> {
    // "none" is how a client asks which methods there are; sshd does not count it (auth2.c).
    if (methods === null) return { type: "none", username: this.options.target.user };
    this.#methods = methods;
    if (isPartial) this.#notes.push(`${this.#refused.pop()} was accepted and is not enough`);
    while (this.#refused.length < MOST_ATTEMPTS) {
      const { value: attempt, done } = await this.#attempts.next();
      if (done) return false;
      if (!methods.includes(attempt.method)) continue;
      if (attempt.method === "publickey" && this.#refused.length >= this.#attemptsForKeys()) continue;
      this.#refused.push(attempt.name);
      return attempt.request;
    }
    return false;
  }

  /** Notes something that went wrong on the way, such as an agent that does not sign. */
  note(what: string): void {
    this.#notes.push(what);
  }

  /** Why nobody let us in. */
  refusal(): UserError {
    const tried = this.#refused.length > 0
      ? `the node did not accept ${listed(this.#refused)}`
      : "there was nothing to try";
    const notes = this.#notes.length > 0 ? ` (${this.#notes.join("; ")})` : "";
    const message = `Cannot log in to "${accountLabel(this.options.target)}": ${tried}${notes}`;
    return new UserError("unreachable", message, { hint: this.#hint() });
  }

  #hint(): string {
    if (this.#isPasswordWithheld) {
      return "check the fingerprint of the host key and pass it as host_key_fingerprint";
    }
    const { method } = this.options.login;
    const takesKeys = this.#methods.length === 0 || this.#methods.includes("publickey");
    if (!takesKeys) return `the node takes only ${this.#methods.join(", ")}`;
    if (method === "password") return "check conn_username and conn_password, or use a key";
    return "add the public key to the node's authorized_keys, load the key into the agent, or pass conn_identity_file";
  }

  async *#everyAttempt(): AsyncGenerator<Attempt, void> {
    const { method, identityFile } = this.options.login;
    // A key that was named comes first: an agent full of others would use up the attempts.
    if (method === "identity" || (method === "auto" && identityFile !== undefined)) yield* this.#identities();
    if (method === "agent" || method === "auto") yield* this.#agentKeys();
    if (method === "auto" && identityFile === undefined) yield* this.#identities();
    if (method === "password" || method === "auto") yield* this.#passwords();
  }

  async *#identities(): AsyncGenerator<Attempt, void> {
    const { identityFile, identityPassphrase, method } = this.options.login;
    for (const path of this.#identityPaths()) {
      const identity = await readIdentity(path, identityPassphrase, this.around.library);
      if (identity.key) {
        if (identity.warning) this.options.say(identity.warning);
        yield* this.#offer(`"${path}"`, identity.key, { type: "publickey", key: identity.key });
      } else if (path === identityFile && (method === "identity" || identity.problem !== "encrypted")) {
        throw identityError(path, identity.reason, identity.problem);
      } else if (identity.problem !== "missing") {
        this.#notes.push(`"${path}" was not tried: ${identity.reason}`);
      }
    }
  }

  #identityPaths(): string[] {
    const { identityFile } = this.options.login;
    if (identityFile !== undefined) return [identityFile];
    return this.around.home === undefined
      ? []
      : USUAL_IDENTITIES.map((name) => `${this.around.home}/.ssh/${name}`);
  }

  async *#agentKeys(): AsyncGenerator<Attempt, void> {
    const { agentSocket, method } = this.options.login;
    if (agentSocket === undefined) {
      if (method === "agent") {
        this.#notes.push("no agent was asked: neither SSH_AUTH_SOCK nor ssh_auth_sock is set");
      }
      return;
    }
    try {
      const agent = this.around.library.createAgent(agentSocket);
      const keys = await identitiesOf(agent);
      if (keys.length === 0 && method === "agent") this.#notes.push("the agent holds no keys");
      for (const key of keys.slice(0, await this.#attemptsForAgent())) {
        const one = onlyKey(agent, key, this.around.library);
        yield* this.#offer(AGENT_KEY, key, { type: "agent", agent: one });
      }
    } catch (error) {
      this.#notes.push(`the agent at "${agentSocket}" was not used: ${messageOf(error)}`);
    }
  }

  /** Attempts that keys may take: the last one is the password's. */
  #attemptsForKeys(): number {
    const { method, password } = this.options.login;
    const isPasswordNext = method === "auto" && password !== undefined && this.around.mayHavePassword() &&
      PASSWORD_METHODS.some((name) => this.#methods.includes(name));
    return isPasswordNext ? MOST_ATTEMPTS - 1 : MOST_ATTEMPTS;
  }

  /** An agent full of keys must leave attempts to the files. */
  async #attemptsForAgent(): Promise<number> {
    const { method, identityFile } = this.options.login;
    const isBeforeFiles = method === "auto" && identityFile === undefined;
    const files = isBeforeFiles ? await existing(this.#identityPaths()) : 0;
    return this.#attemptsForKeys() - Math.min(files, 2);
  }

  *#offer(name: string, key: LibraryKey, how: PublicKeyRequest): Generator<Attempt, void> {
    // The same key from the agent and from its file is one key.
    const blob = Buffer.from(key.getPublicSSH()).toString("base64");
    if (this.#offered.has(blob)) return;
    this.#offered.add(blob);
    yield { method: "publickey", name, request: { ...how, username: this.options.target.user } };
  }

  *#passwords(): Generator<Attempt, void> {
    const { password, method } = this.options.login;
    if (password === undefined) {
      if (method === "password") this.#notes.push("conn_password is not set");
      return;
    }
    if (!this.around.mayHavePassword()) {
      this.#isPasswordWithheld = true;
      this.#notes.push("the password was not sent, since the host key was not known before this run");
      return;
    }
    const username = this.options.target.user;
    yield { method: "password", name: "the password", request: { type: "password", username, password } };
    const prompt = answerOnce(password);
    const request = { type: "keyboard-interactive", username, prompt } as const;
    yield { method: "keyboard-interactive", name: "the password when asked for it", request };
  }
}

type PublicKeyRequest = { type: "publickey"; key: LibraryKey } | { type: "agent"; agent: LibraryAgent };

/** Name of an attempt with a key of the agent. */
const AGENT_KEY = "agent key";

/** `the agent's 2 keys, "/root/.ssh/id_ed25519", the password`. */
function listed(names: readonly string[]): string {
  const fromAgent = names.filter((name) => name === AGENT_KEY).length;
  const agent = fromAgent === 1 ? "the agent's key" : `the agent's ${fromAgent} keys`;
  const words = names.map((name) => name === AGENT_KEY ? agent : name);
  return [...new Set(words)].join(", ");
}

function identityError(path: string, reason: string, problem: string): UserError {
  const hint = problem === "encrypted" || problem === "passphrase"
    ? "pass conn_identity_passphrase, or load the key into the agent"
    : "pass conn_identity_file with the path of a private key";
  return new UserError("usage", `Cannot use the identity file "${path}": ${reason}`, { hint });
}

async function existing(paths: readonly string[]): Promise<number> {
  const found = await Promise.all(paths.map((path) => Deno.stat(path).then(() => 1, () => 0)));
  return found.reduce<number>((sum, one) => sum + one, 0);
}

function identitiesOf(agent: LibraryAgent): Promise<LibraryKey[]> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("it does not answer")), AGENT_TIMEOUT);
    agent.getIdentities((error, keys) => {
      clearTimeout(timer);
      if (keys) resolve(keys);
      else reject(error ?? new Error("it does not answer"));
    });
  });
}

/** An agent that holds one key: ssh2 would offer all of them in one go, which sshd counts one by one. */
function onlyKey(agent: LibraryAgent, key: LibraryKey, { BaseAgent }: KeyLibrary): LibraryAgent {
  const one = new BaseAgent();
  one.getIdentities = (callback) => callback(null, [key]);
  one.sign = (...args) => agent.sign(...args);
  return one;
}

/** Answers one hidden question with the password, and nothing else: a second factor is not for us to guess. */
function answerOnce(password: string): KeyboardPrompt {
  let isAnswered = false;
  return (_name, _instructions, _language, prompts, finish) => {
    const isAsked = !isAnswered && prompts.length === 1 && !prompts[0]!.echo;
    isAnswered ||= isAsked;
    finish(isAsked ? [password] : prompts.map(() => ""));
  };
}
