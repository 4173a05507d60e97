import type { Socket } from "node:net";
import { messageOf, UserError } from "../../core/errors.ts";
import type { SshOptions } from "../remote/ssh_target.ts";
import { ALGORITHMS } from "./algorithms.ts";
import type { HostKeyCheck } from "./host_key_check.ts";
import type { ConnectConfig, LibraryClient, LibraryError } from "./library.ts";
import type { Login } from "./login.ts";
import { accountLabel } from "./names.ts";

/** Signs of life that may stay unanswered. */
const MISSED_KEEPALIVES = 3;

/** Milliseconds that the login may take at least: agents ask people, and sshd waits after a wrong password. */
const LOGIN_TIMEOUT = 60_000;

/** Whether ssh2 goes on after this error: an agent or a key that did not sign, and what it says when we end the login. */
export function isAboutLogin({ level }: LibraryError): boolean {
  return level === "agent" || level === "client-authentication";
}

/** Brings `client` to where it is connected, knows the machine, and is logged in. */
export class Handshake {
  readonly #done = Promise.withResolvers<void>();
  readonly #label: string;
  #phase: "connect" | "handshake" | "login" = "connect";
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    readonly client: LibraryClient,
    readonly socket: Socket,
    readonly options: SshOptions,
    readonly hostKeys: HostKeyCheck,
    readonly login: Login,
  ) {
    this.#label = accountLabel(options.target);
  }

  /** @throws {UserError} of kind `unreachable`, or `usage` for files that cannot be used */
  async run(): Promise<void> {
    const { client, options } = this;
    client.on("connect", () => {
      this.#phase = "handshake";
    });
    client.once("handshake", () => {
      this.#phase = "login";
      this.#limit(Math.max(options.connectTimeout, LOGIN_TIMEOUT));
    });
    client.on("ready", () => this.#done.resolve());
    client.on("error", (error) => this.#onError(error));
    client.on("close", () => this.#fail(this.#broken("the connection was closed")));
    client.on("change password", () => this.#fail(this.#broken("the password has expired")));
    this.#limit(options.connectTimeout);
    try {
      client.connect(this.#config());
      await this.#done.promise;
    } finally {
      clearTimeout(this.#timer);
    }
  }

  #config(): ConnectConfig {
    const { target, keepalive } = this.options;
    return {
      sock: this.socket,
      username: target.user,
      readyTimeout: 0,
      keepaliveInterval: keepalive,
      keepaliveCountMax: MISSED_KEEPALIVES,
      algorithms: { ...ALGORITHMS, serverHostKey: this.hostKeys.algorithms },
      hostVerifier: (key, verify) => {
        const isAccepted = this.hostKeys.accepts(key);
        if (!isAccepted) this.#fail(this.hostKeys.error);
        verify(isAccepted);
      },
      authHandler: (methods, isPartial, next) => {
        this.#nextAttempt(methods, isPartial ?? false).then(next, (error) => {
          this.#fail(error);
          next(false);
        });
      },
    };
  }

  async #nextAttempt(methods: string[] | null, isPartial: boolean) {
    // Keys were exchanged by now, so the machine has shown that the host key is its own.
    if (methods === null) await this.hostKeys.record();
    const request = await this.login.next(methods, isPartial);
    if (request === false) throw this.login.refusal();
    return request;
  }

  #limit(milliseconds: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#fail(this.#timedOut(milliseconds)), milliseconds);
  }

  #fail(error: unknown): void {
    this.#done.reject(error);
  }

  #onError(error: LibraryError): void {
    if (isAboutLogin(error)) return this.login.note(messageOf(error));
    this.#fail(this.#phase === "connect" ? this.#notReached(error) : this.#broken(messageOf(error), error));
  }

  #notReached(error: LibraryError): UserError {
    const { host, port } = this.options.target;
    const [reason, hint] = NETWORK_REASONS[String(error.code)] ??
      [messageOf(error), "check the network and the firewalls between"];
    return new UserError(
      "unreachable",
      `Cannot reach "${this.#label}": ${reason} (port ${port} of "${host}")`,
      {
        hint,
        cause: error,
      },
    );
  }

  #timedOut(milliseconds: number): UserError {
    const seconds = Math.round(milliseconds / 1000);
    if (this.#phase === "login") return this.#broken(`it did not let us in within ${seconds} s`);
    const what = this.#phase === "connect" ? "no answer" : "no SSH server answered";
    const message = `Cannot reach "${this.#label}": ${what} within ${seconds} s`;
    return new UserError("unreachable", message, {
      hint: "check the address, the port and the firewalls between, or raise connect_timeout",
    });
  }

  /** It was reached, and then did not work. */
  #broken(reason: string, cause?: Error): UserError {
    const what = this.#phase === "login" ? "Cannot log in to" : "Cannot start an SSH connection to";
    const hint = this.#phase === "login"
      ? "see what sshd logs on the node"
      : "see what sshd logs on the node, or try ssh_transport=openssh";
    return new UserError("unreachable", `${what} "${this.#label}": ${reason}`, { hint, cause });
  }
}

/** What errors of the network mean, and what to do. */
const NETWORK_REASONS: Readonly<Record<string, readonly [reason: string, hint: string]>> = {
  ECONNREFUSED: ["nothing listens there", "check the port, and that sshd runs"],
  ENOTFOUND: ["the name is not known", "check the name, or use the address"],
  EAI_AGAIN: ["the name cannot be looked up now", "check the resolver, or use the address"],
  EHOSTUNREACH: ["there is no way to that host", "check the address and the network"],
  ENETUNREACH: ["there is no way to that network", "check the address and the network"],
  ETIMEDOUT: ["no answer", "check the address, the port and the firewalls between"],
};
