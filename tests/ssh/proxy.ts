/** A TCP proxy that does what networks do: cut, stall, slow down, refuse. */
import { reset } from "./reset.ts";

export type Direction = "toServer" | "toClient";

/** How a connection ends: orderly, as a process does that ends, or with a reset, as a firewall does. */
export type Cut = "fin" | "rst";

/** What the proxy does to connections, those already open included; bytes count per connection. */
export interface Faults {
  /** Ends the connection after so many bytes in one direction. */
  cut?: { direction: Direction; after: number; by: Cut };
  /** Passes nothing on any more, in neither direction, after so many bytes in one: the peer is gone without a word. */
  stall?: { direction: Direction; after: number };
  /** Limit of each connection and direction. */
  bytesPerSecond?: number;
  /** New connections are accepted and never get a byte. */
  mute?: boolean;
}

interface Link {
  client: Deno.TcpConn;
  server: Deno.TcpConn;
  passed: Record<Direction, number>;
  ended: boolean;
}

export class FaultProxy implements AsyncDisposable {
  readonly hostname: string;
  readonly port: number;
  /** May be changed at any time. */
  faults: Faults = {};
  /** Connections accepted so far. */
  accepted = 0;
  /** Bytes passed on so far, all connections together. */
  readonly passed: Record<Direction, number> = { toServer: 0, toClient: 0 };
  readonly #listener: Deno.TcpListener;
  readonly #links = new Set<Link>();
  readonly #muted: Deno.TcpConn[] = [];
  readonly #work: Promise<unknown>[] = [];
  #over = false;

  /** Listens on a port of its own, or where it is told to, and passes on to `target`. */
  constructor(
    readonly target: { hostname: string; port: number },
    { hostname = "127.0.0.1", port = 0 }: { hostname?: string; port?: number } = {},
  ) {
    this.#listener = Deno.listen({ hostname, port });
    ({ hostname: this.hostname, port: this.port } = this.#listener.addr as Deno.NetAddr);
    this.#work.push(this.#accept());
  }

  /** From now on nobody listens: connection refused. Open connections go on. */
  refuse(): void {
    if (!this.#over) this.#listener.close();
    this.#over = true;
  }

  /** Ends every open connection. */
  cutNow(by: Cut): void {
    for (const link of this.#links) end(link, by);
  }

  /** Number of connections that are open. */
  get open(): number {
    return this.#links.size;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.refuse();
    this.cutNow("fin");
    for (const conn of this.#muted) conn.close();
    await Promise.all(this.#work);
  }

  async #accept(): Promise<void> {
    try {
      for await (const client of this.#listener) {
        this.accepted++;
        if (this.faults.mute) this.#muted.push(client);
        else this.#work.push(this.#serve(client));
      }
    } catch (error) {
      if (!this.#over) throw error;
    }
  }

  async #serve(client: Deno.TcpConn): Promise<void> {
    const server = await Deno.connect(this.target).catch(() => undefined);
    if (server === undefined) return client.close();
    const link: Link = { client, server, passed: { toServer: 0, toClient: 0 }, ended: false };
    this.#links.add(link);
    await Promise.all([this.#pass(link, "toServer"), this.#pass(link, "toClient")]);
    end(link, "fin");
    this.#links.delete(link);
  }

  /** Passes bytes on in one direction, until its end, which it passes on too. */
  async #pass(link: Link, direction: Direction): Promise<void> {
    const [from, to] = direction === "toServer" ? [link.client, link.server] : [link.server, link.client];
    const buffer = new Uint8Array(64 * 1024);
    try {
      while (!link.ended) {
        const room = this.#room(link, direction, buffer.length);
        const length = room === 0 ? 0 : await from.read(buffer.subarray(0, room));
        if (length === null) return await to.closeWrite();
        while (!link.ended && this.#stalls(link)) await pause(20);
        for (let sent = 0; sent < length;) sent += await to.write(buffer.subarray(sent, length));
        link.passed[direction] += length;
        this.passed[direction] += length;
        await this.#afterwards(link, length);
      }
    } catch {
      end(link, "fin"); // one side is gone: so is the connection
    }
  }

  /** How many bytes may pass before a fault is due, or in a tenth of a second where the rate is limited. */
  #room(link: Link, direction: Direction, size: number): number {
    const { cut, stall, bytesPerSecond } = this.faults;
    const dues = [cut, stall].filter((fault) => fault?.direction === direction);
    const left = dues.map((fault) => Math.max(0, fault!.after - link.passed[direction]));
    return Math.min(size, ...left, Math.ceil((bytesPerSecond ?? Infinity) / 10));
  }

  #stalls(link: Link): boolean {
    const { stall } = this.faults;
    return stall !== undefined && link.passed[stall.direction] >= stall.after;
  }

  async #afterwards(link: Link, length: number): Promise<void> {
    const { cut, bytesPerSecond } = this.faults;
    if (cut && link.passed[cut.direction] >= cut.after) end(link, cut.by);
    else if (bytesPerSecond) await pause(1000 * length / bytesPerSecond);
  }
}

function end(link: Link, by: Cut): void {
  if (link.ended) return;
  link.ended = true;
  for (const conn of [link.client, link.server]) {
    if (by === "rst") reset(conn);
    conn.close();
  }
}

const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));
