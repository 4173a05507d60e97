import type { ByteSource } from "../../core/bytes.ts";
import { UserError } from "../../core/errors.ts";
import { complaint } from "../openssh/complaint.ts";
import { LogTail } from "../log_tail.ts";
import type { Argv } from "../runner.ts";
import type { Channel, ChannelEnd, Channels } from "./channel.ts";
import type { ShellRunner } from "./shell_runner.ts";

/** A node of a cluster, as the other nodes of the cluster reach it. */
export interface HopTarget {
  /** The node's name, under which Proxmox knows its host key. */
  name: string;
  address: string;
  /** The file with this node's host key, where the hop starts; without it the usual files there tell. */
  knownHosts?: string;
  /** Milliseconds. */
  connectTimeout: number;
  /** Milliseconds between two signs of life; three missing ones end the connection. */
  keepalive: number;
}

/**
 * The call of ssh that reaches a node from another one, all but the command line. The nodes of a cluster trust each
 * other: root's key is in all authorized_keys, host keys go by the nodes' names (pve-cluster, PVE/SSHInfo.pm).
 */
export function hopArgv(target: HopTarget): Argv {
  const { name, address, knownHosts, connectTimeout, keepalive } = target;
  const seconds = (milliseconds: number) => Math.ceil(milliseconds / 1000);
  const settings = [
    "BatchMode=yes",
    `ConnectTimeout=${seconds(connectTimeout)}`,
    `ServerAliveInterval=${seconds(keepalive)}`,
    "ServerAliveCountMax=3",
    `HostKeyAlias=${name}`,
    ...(knownHosts === undefined ? [] : [`UserKnownHostsFile=${knownHosts}`, "GlobalKnownHostsFile=none"]),
  ];
  return ["ssh", "-T", ...settings.flatMap((setting) => ["-o", setting]), "--", `root@${address}`];
}

/** What to call a node in messages that is reached through another one. */
export function hopLabel({ name }: HopTarget, through: string): string {
  return `${name} (through ${through})`;
}

/**
 * What the exit status of ssh tells about the way to a node, or `undefined` when it is the command's own. ssh keeps
 * 255 for itself (ssh(1), EXIT STATUS); what we run there tells its own 255 before.
 */
export function hopFailure(
  target: HopTarget,
  through: string,
  status: number,
  stderr: string,
): UserError | undefined {
  if (status !== SSH_FAILED) return undefined;
  const { message } = complaint(hopLabel(target, through), stderr);
  const hint = `on ${through} this must work without a question: ssh root@${target.address}`;
  return new UserError("unreachable", message, { hint });
}

const SSH_FAILED = 255;

/** A way to a node by `ssh` on another one. */
export class HopChannels implements Channels {
  readonly label: string;

  /** `from` is for this hop alone, and closed with it. */
  constructor(readonly target: HopTarget, readonly from: Pick<ShellRunner, "label" | "start" | "close">) {
    this.label = hopLabel(target, from.label);
  }

  async open(command: string, onStderr: (chunk: Uint8Array) => void): Promise<Channel> {
    const log = new LogTail();
    const channel = await this.from.start([...hopArgv(this.target), command], (chunk) => {
      log.push(chunk);
      onStderr(chunk);
    });
    return new HopChannel(channel, (status) => {
      log.end();
      return hopFailure(this.target, this.from.label, status, log.toString());
    });
  }

  close(): Promise<void> {
    return this.from.close();
  }
}

/** A channel whose end may be that of ssh in between. */
class HopChannel implements Channel {
  readonly output: ByteSource;
  readonly ended: Promise<ChannelEnd>;

  constructor(readonly channel: Channel, explain: (status: number) => UserError | undefined) {
    this.output = channel.output;
    this.ended = channel.ended.then((end) => {
      const lost = "status" in end ? explain(end.status) : undefined;
      return lost ? { lost } : end;
    });
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
}
