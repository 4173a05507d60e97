import type { Buffer } from "node:buffer";
import type { Socket } from "node:net";
import type { Duplex, Readable } from "node:stream";

/** What we use of ssh2, which comes without types. The names are ssh2's. */

/** A session on a connection: stdout to read, stdin to write. */
export interface LibraryChannel extends Duplex {
  readonly stderr: Readable;
  /** Sends CHANNEL_CLOSE. */
  close(): void;
}

/** A parsed key; with its secret half only where it was read from a private key file. */
export interface LibraryKey {
  readonly type: string;
  getPublicSSH(): Buffer;
  isPrivateKey(): boolean;
  /** The secret half, unencrypted. */
  getPrivatePEM(): string;
}

export interface LibraryAgent {
  getIdentities(callback: (error: Error | undefined | null, keys?: LibraryKey[]) => void): void;
  sign(
    key: LibraryKey,
    data: Uint8Array,
    options: unknown,
    callback: (error: Error | undefined | null, signature?: Uint8Array) => void,
  ): void;
}

/** One answer of the hidden or shown questions of keyboard-interactive. */
export type KeyboardPrompt = (
  name: string,
  instructions: string,
  language: string,
  prompts: readonly { prompt: string; echo: boolean }[],
  finish: (answers: string[]) => void,
) => void;

/** One authentication request. */
export type AuthRequest =
  | { type: "none"; username: string }
  | { type: "password"; username: string; password: string }
  | { type: "publickey"; username: string; key: LibraryKey }
  | { type: "agent"; username: string; agent: LibraryAgent }
  | { type: "keyboard-interactive"; username: string; prompt: KeyboardPrompt };

export interface Algorithms {
  kex: readonly string[];
  serverHostKey: readonly string[];
  cipher: readonly string[];
  hmac: readonly string[];
  compress: readonly string[];
}

export interface ConnectConfig {
  /** A socket that connects; ssh2's own cannot be destroyed once it was ended. */
  sock: Socket;
  username: string;
  readyTimeout: number;
  keepaliveInterval: number;
  keepaliveCountMax: number;
  algorithms: Algorithms;
  hostVerifier(key: Buffer, verify: (isAccepted: boolean) => void): void;
  authHandler(
    methodsLeft: string[] | null,
    isPartial: boolean | null,
    next: (request: AuthRequest | false) => void,
  ): void;
}

/** An error of ssh2: `level` says which layer it comes from. */
export type LibraryError = Error & { level?: string; code?: string | number; reason?: string | number };

export interface LibraryClient {
  connect(config: ConnectConfig): void;
  exec(command: string, callback: (error: LibraryError | undefined, channel: LibraryChannel) => void): void;
  /** Says goodbye and ends the socket. */
  end(): void;
  /** `handshake` comes again whenever keys are renewed. */
  on(event: "connect" | "handshake" | "ready" | "close", listener: () => void): this;
  on(event: "error", listener: (error: LibraryError) => void): this;
  on(event: "change password", listener: () => void): this;
  once(event: "handshake", listener: () => void): this;
}

/** What ssh2 knows about keys, handed to the login, which does not import it. */
export interface KeyLibrary {
  /** Answers an `Error` for what it cannot read. */
  parseKey(data: Uint8Array | string, passphrase?: string): LibraryKey | LibraryKey[] | Error;
  createAgent(socket: string): LibraryAgent;
  /** Class that an agent must descend from to be taken for one. */
  BaseAgent: new () => LibraryAgent;
}

export interface Library extends KeyLibrary {
  Client: new () => LibraryClient;
}
