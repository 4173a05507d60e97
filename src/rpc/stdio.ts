import { enlargePipe } from "../core/pipe_size.ts";
import type { Wire } from "./http2/wire.ts";

/** Descriptors of the two pipes. */
const [STDIN, STDOUT] = [0, 1];

/** Milliseconds until a full or empty non-blocking pipe is tried again. */
const RETRY_DELAY = 2;

/**
 * The wire over this process's own stdin and stdout. `Deno.stdout.writable` is no way to write here: it fails for
 * good on a non-blocking pipe and hides how much was written.
 */
export function stdioWire(
  stdin: Pick<typeof Deno.stdin, "read"> = Deno.stdin,
  stdout: Pick<typeof Deno.stdout, "write"> = Deno.stdout,
): Wire {
  enlargePipe(STDIN);
  enlargePipe(STDOUT);
  return {
    async read(view) {
      const bytes = await whenReady(() => stdin.read(view));
      return bytes === null ? null : view.subarray(0, bytes);
    },
    async write(bytes) {
      for (let sent = 0; sent < bytes.length;) {
        sent += await whenReady(() => stdout.write(bytes.subarray(sent)));
      }
    },
  };
}

/** Whoever made the pipe may have made it non-blocking; nothing is moved by a call that says `WouldBlock`. */
async function whenReady<T>(transfer: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await transfer();
    } catch (error) {
      if (!(error instanceof Deno.errors.WouldBlock)) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_DELAY));
  }
}
