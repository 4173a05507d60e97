/**
 * Ends a connection with a reset instead of an orderly end: connect(2) to no address. (SO_LINGER does not do it:
 * Deno shuts a connection down before it closes it.)
 */
export function reset(conn: Deno.TcpConn): void {
  const libc = Deno.dlopen("libc.so.6", {
    connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  });
  try {
    const nowhere = new Uint8Array(16); // a sockaddr of family AF_UNSPEC, 0
    if (libc.symbols.connect(descriptorOf(conn), nowhere, nowhere.length) !== 0) {
      throw new Error("the connection cannot be reset");
    }
  } finally {
    libc.close();
  }
}

/** The file descriptor behind a connection: our socket whose two ends are such. */
function descriptorOf(conn: Deno.TcpConn): number {
  const ends = [conn.localAddr, conn.remoteAddr].map((end) => procAddress(end as Deno.NetAddr)).join(" ");
  const lines = Deno.readTextFileSync("/proc/net/tcp").split("\n").map((line) => line.trim().split(/\s+/));
  const inode = lines.find(([, local, remote]) => `${local} ${remote}` === ends)?.[9];
  for (const { name } of Deno.readDirSync("/proc/self/fd")) {
    try {
      if (Deno.readLinkSync(`/proc/self/fd/${name}`) === `socket:[${inode}]`) return Number(name);
    } catch {
      // Was closed meanwhile.
    }
  }
  throw new Error(`no descriptor for the connection ${ends}`);
}

/** As /proc/net/tcp writes it: `0100007F:0016`. */
function procAddress({ hostname, port }: Deno.NetAddr): string {
  const hex = (number: number, digits: number) => number.toString(16).toUpperCase().padStart(digits, "0");
  return `${hostname.split(".").map((part) => hex(Number(part), 2)).reverse().join("")}:${hex(port, 4)}`;
}
