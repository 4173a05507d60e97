import { SECRET_VARIABLES } from "../config/doors.ts";
import type { ReachOptions } from "../config/options.ts";
import { UserError } from "../core/errors.ts";
import { type ClusterNode, connectNode, type ProxmoxNode } from "../proxmox/cluster.ts";
import type { Nodes } from "../proxmox/nodes.ts";
import { LocalRunner } from "../runner/local.ts";
import type { Channels } from "../runner/remote/channel.ts";
import type { HopTarget } from "../runner/remote/hop.ts";
import type { SshOptions } from "../runner/remote/ssh_target.ts";
import { type ReachedNode, type Route, RoutedNodes } from "./routed_nodes.ts";
import { type ReachContext, sshOptions, sshOptionsAt } from "./ssh_options.ts";
import { needsSudo } from "./sudo.ts";
import { isRemote } from "./where.ts";

export type { ReachContext } from "./ssh_options.ts";

/**
 * Opens the node that the options name, and by it those of its cluster. The variables that hold our secrets are taken
 * out of this process' environment, so that nothing it starts inherits them.
 *
 * @throws {UserError} of kind `usage` for options that contradict each other, of kind `unreachable` where no Proxmox
 *   VE node answers
 */
export async function openNodes(options: ReachOptions, context: ReachContext): Promise<Nodes> {
  const ssh = sshOptions(options, context);
  for (const name of SECRET_VARIABLES) Deno.env.delete(name);
  const { ssh_transport: transport, node_access: access } = options;
  if (!isRemote(options)) {
    const node = await connectNode(new LocalRunner());
    const close = () => Promise.resolve();
    // From a node of the cluster its own way is the one that is set up.
    const routes = [access === "direct" ? directRoute(ssh, transport) : localHop(node, ssh)];
    return new RoutedNodes({ node, close }, routes);
  }
  const { sudo, ...entry } = await enter(ssh, transport, options.sudo);
  const direct = directRoute(ssh, transport, options.sudo);
  const hop = remoteHop(entry.node, ssh, transport, sudo);
  return new RoutedNodes(entry, access === "auto" ? [direct, hop] : [access === "direct" ? direct : hop]);
}

type Transport = ReachOptions["ssh_transport"];

/** A way to the account that `ssh` names. */
async function openChannels(ssh: SshOptions, transport: Transport): Promise<Channels> {
  if (transport === "builtin") {
    const { Ssh2Channels } = await import("../runner/ssh2.ts");
    return new Ssh2Channels(ssh);
  }
  const { OpensshChannels } = await import("../runner/openssh.ts");
  return new OpensshChannels(ssh);
}

/** Asks the node at the end of `channels` who it is; what fails closes them. */
async function enterBy(
  channels: Channels,
  sudoMode: ReachOptions["sudo"],
): Promise<ReachedNode & { sudo: boolean }> {
  try {
    const { ShellRunner } = await import("../runner/remote/shell_runner.ts");
    const sudo = await needsSudo(new ShellRunner(channels), sudoMode);
    const node = await connectNode(new ShellRunner(channels, { sudo }));
    return { node, sudo, close: () => channels.close() };
  } catch (error) {
    await channels.close();
    throw error;
  }
}

async function enter(ssh: SshOptions, transport: Transport, sudoMode: ReachOptions["sudo"]) {
  return await enterBy(await openChannels(ssh, transport), sudoMode);
}

/** To a node's own address, with the login that the options name. */
function directRoute(ssh: SshOptions, transport: Transport, sudoMode: ReachOptions["sudo"] = "auto"): Route {
  return {
    how: "directly",
    open: (target) => enter(sshOptionsAt(addressOf(target), ssh), transport, sudoMode),
  };
}

/** By `ssh` on the entry node, over a connection of its own: sshd counts the channels of each. */
function remoteHop(entry: ProxmoxNode, ssh: SshOptions, transport: Transport, sudo: boolean): Route {
  return {
    how: `through ${entry.runner.label}`,
    async open(target) {
      const { HopChannels } = await import("../runner/remote/hop.ts");
      const { ShellRunner } = await import("../runner/remote/shell_runner.ts");
      const to = await hopTarget(target, entry, ssh);
      const from = new ShellRunner(await openChannels(ssh, transport), { sudo });
      return await enterBy(new HopChannels(to, from), "never");
    },
  };
}

/** By `ssh` on this machine, itself a node. */
function localHop(entry: ProxmoxNode, ssh: SshOptions): Route {
  return {
    how: `through ${entry.runner.label}`,
    async open(target) {
      const { hopArgv, hopFailure, hopLabel } = await import("../runner/remote/hop.ts");
      const { ChildChannels } = await import("../runner/remote/child_channel.ts");
      const { ENVIRONMENT } = await import("../runner/openssh/settings.ts");
      const to = await hopTarget(target, entry, ssh);
      const through = entry.runner.label;
      const explain = (status: number, stderr: string) => hopFailure(to, through, status, stderr);
      const way = new ChildChannels({
        label: hopLabel(to, through),
        argv: hopArgv(to),
        env: ENVIRONMENT,
        killOnClose: true,
        explain,
      });
      return await enterBy(way, "never");
    },
  };
}

async function hopTarget(target: ClusterNode, entry: ProxmoxNode, ssh: SshOptions): Promise<HopTarget> {
  // Proxmox VE 8.2 and later keep each node's host key in a file of its own (pve-cluster, PVE/SSHInfo.pm).
  const knownHosts = `/etc/pve/nodes/${target.name}/ssh_known_hosts`;
  const isThere = (await entry.runner.files.stat(knownHosts))?.kind === "file";
  const { connectTimeout, keepalive } = ssh;
  const { name } = target;
  return { name, address: addressOf(target), connectTimeout, keepalive, ...(isThere ? { knownHosts } : {}) };
}

/** A node without an address goes by its name, which the nodes of a cluster know (/etc/hosts). */
function addressOf({ address, name }: ClusterNode): string {
  return address ?? name;
}

/**
 * Finds out whether a node has the tools that are needed, without doing anything.
 *
 * @throws {UserError} of kind `unreachable` saying what is missing
 */
export async function requireTools(node: ProxmoxNode, ...tools: readonly string[]): Promise<void> {
  for (const tool of tools) {
    if (await node.runner.hasTool(tool)) continue;
    throw new UserError(
      "unreachable",
      `Cannot use Proxmox VE on ${node.runner.label}: "${tool}" is not installed`,
    );
  }
}

/**
 * Finds out whether the node that the options name answers and has the tools, without doing anything.
 *
 * @throws {UserError} of kind `unreachable` saying what is missing
 */
export async function pingNode(
  options: ReachOptions,
  context: ReachContext,
  ...tools: readonly string[]
): Promise<void> {
  const nodes = await openNodes(options, context);
  try {
    await requireTools(nodes.entry, ...tools);
  } finally {
    await nodes.close();
  }
}
