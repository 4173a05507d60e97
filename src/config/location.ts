/** Which machine a location names, and how to log in there as far as it says. */
export interface Location {
  /** Name or address in small letters, an IPv6 address without brackets; empty for this machine. */
  host: string;
  port?: number;
  user?: string;
}

const SCHEME = /^(?:proxmox(?:\+backup)?):\/\//i;
const HOST_NAME = /^[a-z0-9_]([a-z0-9._-]*[a-z0-9_])?\.?$/i;
/** Names of accounts. One that begins with a dash would be an option of ssh. */
export const USER_NAME = /^[A-Za-z0-9_][A-Za-z0-9._-]*\$?$/;

/**
 * Reads `[SCHEME://][USER@][HOST][:PORT]`, the scheme being `proxmox` or `proxmox+backup`.
 *
 * @throws {SyntaxError} saying what is wrong with it, and what to write
 */
export function parseLocation(text: string): Location {
  const problem = (why: string, hint = 'write "proxmox://root@pve1", or "proxmox://" for this machine') =>
    new SyntaxError(`${why}; ${hint}`);

  const foreign = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text);
  if (foreign && !SCHEME.test(text)) throw problem(`"${foreign[1]}" is not a scheme of ours`);
  const rest = text.replace(SCHEME, "").replace(/\/+$/, "");
  const at = rest.lastIndexOf("@");
  const user = at < 0 ? undefined : rest.slice(0, at);
  if (user?.includes(":")) throw problem("a password may not stand in it", "give conn_password instead");
  if (user !== undefined && !USER_NAME.test(user)) throw problem(`"${user}" is not the name of an account`);

  const machine = rest.slice(at + 1);
  if (/[/?#]/.test(machine)) throw problem("nothing may follow the host");
  const parts = /^(?:\[([^\]]*)\]|([^:]*))(?::([^:]*))?$/.exec(machine);
  if (!parts) throw problem(`"${machine}" is not a host`, "an IPv6 address stands in brackets: [fd00::1]:22");
  const [, bracketed, name = "", port] = parts;
  const host = bracketed === undefined ? name.toLowerCase() : ipv6(bracketed);
  if (host === undefined || (host !== "" && bracketed === undefined && !HOST_NAME.test(host))) {
    throw problem(`"${bracketed ?? name}" is not a host`);
  }
  if (host === "" && (user !== undefined || port !== undefined)) throw problem("the host is missing");
  if (port !== undefined && !(/^\d{1,5}$/.test(port) && Number(port) >= 1 && Number(port) <= 65_535)) {
    throw problem(`"${port}" is not a port`);
  }
  return {
    host: host.replace(/\.$/, ""),
    ...(port === undefined ? {} : { port: Number(port) }),
    ...(user === undefined ? {} : { user }),
  };
}

/** A location as it may be shown: without a password that does not belong there. */
export function withoutPassword(location: string): string {
  const [scheme = ""] = /^[a-z][a-z0-9+.-]*:\/\//i.exec(location) ?? [];
  return scheme + location.slice(scheme.length).replace(/^([^:@]*):.*@/s, "$1:***@");
}

/** The one spelling of an IPv6 address, or `undefined` for what is none. A zone stays as it is. */
function ipv6(text: string): string | undefined {
  const [, address = "", zone = ""] = /^([0-9a-f:.]+)(%[a-z0-9._-]+)?$/i.exec(text) ?? [];
  const read = URL.parse(`http://[${address}]/`);
  return read === null ? undefined : read.hostname.slice(1, -1) + zone;
}

/** Whether a host is another word for "the machine I am on". */
export function isLoopback(host: string): boolean {
  return host === "" || host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host);
}

/**
 * What names the source of a backup. It stays the same from run to run, for plakar to find the parent snapshot:
 * neither the account nor the port of a node change it. Loopback addresses say `hostname`, this machine's name; of
 * several tunnels that begin here, each is known by its port.
 */
export function originOf({ host, port }: Location, isRemote: boolean, hostname: string): string {
  if (!isLoopback(host)) return host;
  return hostname.replace(/\..*$/, "") + (isRemote && port !== undefined ? `:${port}` : "");
}
