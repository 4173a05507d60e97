/** The user's terminal: results on stdout, words for people on stderr. */
export interface Terminal {
  /** Writes a line of results. */
  out(line: string): Promise<void>;
  /** Writes a line for people. */
  say(line: string): void;
  /** Asks a question that is answered by yes or no; anything but yes is no. */
  confirm(question: string): Promise<boolean>;
  /** Whether people read along: stderr is a terminal. */
  isInteractive: boolean;
  /** Whether a question can be answered: stdin is a terminal too. */
  canAsk: boolean;
}

/**
 * Text that cannot steer a terminal: control characters and those that turn the direction of writing, or are not
 * seen, are made visible, as JSON writes them, so that a line of JSON stays one. Names and logs come from guests and
 * from strangers' archives.
 */
export function printable(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (char) => {
    const units = Array.from({ length: char.length }, (_, index) => char.charCodeAt(index));
    return units.map((unit) => `\\u${unit.toString(16).padStart(4, "0")}`).join("");
  });
}

async function writeAll(file: { write(bytes: Uint8Array): Promise<number> }, text: string): Promise<void> {
  let rest = new TextEncoder().encode(text);
  while (rest.byteLength > 0) rest = rest.subarray(await file.write(rest));
}

/** The terminal of this process. */
export function processTerminal(): Terminal {
  const isInteractive = Deno.stderr.isTerminal();
  const canAsk = isInteractive && Deno.stdin.isTerminal();
  return {
    isInteractive,
    canAsk,
    async out(line) {
      try {
        await writeAll(Deno.stdout, `${printable(line)}\n`);
      } catch (error) {
        // Whoever read has seen enough (`… | head`); the work is done all the same.
        if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
      }
    },
    say(line) {
      const bytes = new TextEncoder().encode(`${printable(line)}\n`);
      for (let done = 0; done < bytes.byteLength;) done += Deno.stderr.writeSync(bytes.subarray(done));
    },
    async confirm(question) {
      await writeAll(Deno.stderr, `${printable(question)} [y/N] `);
      const answer = new Uint8Array(64);
      const count = await Deno.stdin.read(answer);
      return /^y(es)?\s*$/i.test(new TextDecoder().decode(answer.subarray(0, count ?? 0)));
    },
  };
}
