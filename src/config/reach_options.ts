import { integer, location, oneOf, ownFile, secret, text } from "./kinds.ts";
import { USER_NAME } from "./location.ts";
import type { OptionSpec } from "./spec.ts";

const ACCOUNT = { is: USER_NAME, must: "must be the name of an account" };
const FINGERPRINT = {
  is: /^SHA256:[A-Za-z0-9+/]{43}=?$/,
  must: 'must be written as "ssh-keygen -l" does: SHA256:…',
};

/** How nodes are reached, and whom to believe on the way. */
export const reach = {
  location: {
    kind: location(),
    default: "proxmox://",
    text:
      "the node to start from, any one of a cluster: proxmox://[USER@]HOST[:PORT], on the command line also without proxmox://; no host, localhost, or a name or address of this machine is this machine, all else is reached over SSH",
  },
  mode: {
    kind: oneOf("auto", "local", "remote"),
    default: "auto",
    text:
      "local: this machine, whatever host the location names; remote: over SSH, also where it names this machine; auto: as the location says",
  },
  node_access: {
    kind: oneOf("auto", "direct", "entry"),
    default: "auto",
    text:
      "the way to the other nodes of a cluster: direct: to the address each has in the cluster, with the same login; entry: by ssh on the node to start from; auto: direct, then entry; from this machine always entry",
  },
  max_nodes: {
    kind: integer(1, 64),
    default: "4",
    text: "nodes to work on side by side",
  },
  ssh_transport: {
    kind: oneOf("builtin", "openssh"),
    default: "builtin",
    text:
      "builtin: this program's own SSH; openssh: the command ssh of this machine, with ~/.ssh/config, jump hosts and hardware keys",
  },
  conn_username: {
    kind: text("NAME", ACCOUNT),
    text:
      "account on the node where the location names none; root unless given (openssh: as ~/.ssh/config says)",
  },
  conn_port: {
    kind: integer(1, 65_535, "PORT"),
    text: "port of sshd where the location names none; 22 unless given (openssh: as ~/.ssh/config says)",
  },
  conn_method: {
    kind: oneOf("auto", "agent", "identity", "password"),
    default: "auto",
    text: "how to log in; auto: the agent's keys, then identity files, then the password",
  },
  conn_password: { kind: secret(), text: "password of the account" },
  conn_identity_file: {
    kind: ownFile(),
    text: "private key to log in with; without it the usual files in ~/.ssh",
  },
  conn_identity_passphrase: { kind: secret(), text: "passphrase of the private key" },
  ssh_auth_sock: { kind: ownFile(), text: "socket of the SSH agent; without it SSH_AUTH_SOCK names it" },
  host_key_check: {
    kind: oneOf("accept-new", "strict", "off"),
    default: "accept-new",
    text:
      "accept-new: record the host key of a node never seen before, refuse a changed one; strict: refuse unknown ones too; off: believe anybody, with a warning",
  },
  host_key_fingerprint: {
    kind: text("SHA256:…", FINGERPRINT),
    text: "the only host key to take from the node of the location, as ssh-keygen -l writes it",
  },
  known_hosts: { kind: ownFile(), text: "known_hosts file to read instead of the user's" },
  sudo: {
    kind: oneOf("auto", "always", "never"),
    default: "auto",
    text: "run commands on the node through sudo -n; auto: where the account is not root",
  },
  connect_timeout: {
    kind: integer(1, 600, "SECONDS"),
    default: "15",
    text: "seconds until a node that does not answer counts as unreachable",
  },
  keepalive: {
    kind: integer(1, 3600, "SECONDS"),
    default: "15",
    text: "seconds between two signs of life asked of a node; after three missing ones it is given up",
  },
} as const satisfies Record<string, OptionSpec>;
