/** An account on a machine that sshd lets in. */
export interface SshTarget {
  /** Name or address; an IPv6 address without brackets. */
  host: string;
  port: number;
  user: string;
  /** Name under which the machine's key is looked up and recorded, where it is not the host: a node's own name. */
  hostKeyAlias?: string;
  /** What nobody asked for: the defaults stand above, but ~/.ssh/config may say otherwise where it is read. */
  assumed?: readonly ("port" | "user")[];
}

/** How to log in. */
export interface SshLogin {
  /** `auto` tries agent, then the usual identity files, then the password. */
  method: "auto" | "agent" | "identity" | "password";
  password?: string;
  /** Path of a private key, OpenSSH or PEM. */
  identityFile?: string;
  identityPassphrase?: string;
  /** Socket of the agent. */
  agentSocket?: string;
}

/** Which machine to believe in. */
export interface SshTrust {
  /** What to do about an unknown host key; a changed one is always refused, unless `off`. */
  hostKeyCheck: "accept-new" | "strict" | "off";
  /** `SHA256:…`: the only host key to take, whatever the files say. */
  fingerprint?: string;
  /** A known_hosts file to read instead of the user's. */
  knownHosts?: string;
  /** Our own file, where `accept-new` records keys; made when missing, mode 0600. */
  recordIn: string;
}

/** Everything a transport needs to reach one account. */
export interface SshOptions {
  target: SshTarget;
  login: SshLogin;
  trust: SshTrust;
  /** Milliseconds. */
  connectTimeout: number;
  /** Milliseconds between two signs of life asked of the node; three missing ones mean that it is gone. */
  keepalive: number;
  /** Something the user should know, one sentence: a new host key was recorded, a key file is readable by others. */
  say: (text: string) => void;
}
