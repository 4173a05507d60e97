import type { ByteSource } from "../../core/bytes.ts";

/**
 * How a command on a node ended: with an exit status (128 + signal number after a signal), or unknown, since the
 * way to the node was lost before the node told.
 */
export type ChannelEnd = { status: number } | { lost: Error };

/** One command at work on a node, behind whatever carries it there. */
export interface Channel {
  /**
   * Its stdout as it comes: its end, or a rejected read, says nothing about success. `cancel` closes it at once, and
   * where it cannot be closed alone the whole channel.
   */
  readonly output: ByteSource;
  /** Settles when the command has ended and its stderr was handed over; never rejects. */
  readonly ended: Promise<ChannelEnd>;
  /**
   * Hands bytes to its stdin; settles when they were passed on (the way's back-pressure holds), then the buffer may
   * be reused. Rejects when they can no longer reach it.
   */
  write(chunk: Uint8Array): Promise<void>;
  /** Ends its stdin, after everything written. */
  closeInput(): Promise<void>;
  /**
   * Gives the channel up at once. What runs on the node learns of it by the end of its stdin and by broken pipes;
   * `ended` settles as lost unless the end was known before.
   */
  close(): void;
}

/** A way to a node: opens channels. */
export interface Channels {
  /** What to call this way in messages: `root@pve1`. */
  readonly label: string;
  /**
   * Starts `command`, one line that the login shell of the node's account reads, whichever shell that is.
   * Waits while the node takes no further channel. `onStderr` gets the command's stderr as it comes; it must not
   * throw, and the bytes are only valid during the call.
   *
   * @throws {UserError} of kind `unreachable` when the node cannot be reached or does not let us in
   */
  open(command: string, onStderr: (chunk: Uint8Array) => void): Promise<Channel>;
  /** Ends everything that is open. */
  close(): Promise<void>;
}
