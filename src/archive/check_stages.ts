import { UserError } from "../core/errors.ts";
import type { GuestKind } from "../core/guest.ts";
import { ArchiveDamage, type Compression, type Decoder, type DecoderFactory } from "./contents.ts";
import { walkContents, type WalkedContents } from "./content_walk.ts";
import { gzipDecoder } from "./gzip_decoder.ts";
import { walkLzop } from "./lzop_blocks.ts";
import { type Position, StreamWalk, type Walk } from "./stream_walk.ts";
import { walkZstd } from "./zstd_frames.ts";

/** What is done with the bytes of an archive once its compression is known. */
export interface Stage {
  push(chunk: Uint8Array): void | Promise<void>;
  /** The contents; `undefined` when only the compression's frames were walked. */
  end(): WalkedContents | undefined | Promise<WalkedContents | undefined>;
  cancel(reason: unknown): Promise<void>;
}

/** Something that only looks at bytes as they pass. */
type Walker<Result> = Pick<StreamWalk<Result>, "push" | "end">;
type StartDecoder = (onOutput: (chunk: Uint8Array) => void | Promise<void>) => Promise<Decoder>;

/** Who is told of an archive's contents, see `ExpectedArchive`. */
interface Listeners {
  onHead?: (head: WalkedContents) => void;
  onContent?: ((chunk: Uint8Array) => Promise<void>) | undefined;
}

/** Chooses how to check an archive of this compression. Throws where that takes a decoder that is not there. */
export function openStage(
  compression: Compression,
  kind: GuestKind,
  factory: DecoderFactory | undefined,
  { onHead, onContent }: Listeners = {},
): Stage {
  const walkKind = (at: Position) => walkContents(at, kind, onHead);
  if (compression === "none") return walkOnly(new StreamWalk(walkKind));
  if (compression === "gzip") {
    const start: StartDecoder = (onOutput) => Promise.resolve(gzipDecoder(onOutput));
    return new DecodingStage(walkKind, { start, onContent });
  }
  const frames = framesOf(compression);
  if (factory !== undefined) {
    const start: StartDecoder = (onOutput) => factory(compression, onOutput);
    return new DecodingStage(walkKind, { ...frames, start, onContent });
  }
  if (frames.frames === undefined) {
    throw new ArchiveDamage(
      `Archive has compression "${compression}", which cannot be checked here without its tool`,
    );
  }
  const { frames: walk } = frames;
  return walkOnly({ push: (chunk) => walk.push(chunk), end: () => void walk.end() });
}

function framesOf(compression: "zstd" | "lzo" | "bzip2"): { frames?: Walker<unknown> } {
  if (compression === "zstd") return { frames: new StreamWalk(walkZstd) };
  if (compression === "lzo") return { frames: new StreamWalk(walkLzop) };
  return {};
}

function walkOnly(walk: Walker<WalkedContents | undefined | void>): Stage {
  return {
    push: (chunk) => walk.push(chunk),
    end: () => walk.end() ?? undefined,
    cancel: () => Promise.resolve(),
  };
}

/** Decompresses and walks the contents; where the compression has frames, walks these too. */
class DecodingStage implements Stage {
  readonly #frames: Walker<unknown> | undefined;
  readonly #contents: Walker<WalkedContents>;
  readonly #decoder: Promise<Decoder>;
  /** Why the contents are no good: what the decoder makes of it on its way back says less. */
  #contentDamage: unknown;
  #bytes = 0;

  constructor(
    walkKind: (at: Position) => Walk<WalkedContents>,
    { frames, start, onContent }: { frames?: Walker<unknown>; start: StartDecoder } & Listeners,
  ) {
    this.#frames = frames;
    this.#contents = new StreamWalk(walkKind, "Decompressed archive");
    this.#decoder = start((chunk) => {
      this.#walk(chunk);
      return onContent?.(chunk);
    });
    // Nobody waits for it before the first push.
    this.#decoder.catch(() => {});
  }

  async push(chunk: Uint8Array): Promise<void> {
    const decoder = await this.#decoder;
    this.#bytes += chunk.length;
    await this.#orDamage(async () => {
      this.#frames?.push(chunk);
      await decoder.write(chunk);
      // Not every decoder comes back with what its output's taker throws.
      if (this.#contentDamage !== undefined) throw this.#contentDamage;
    });
  }

  async end(): Promise<WalkedContents> {
    const decoder = await this.#decoder;
    return await this.#orDamage(async () => {
      this.#frames?.end();
      await decoder.end();
      return this.#contents.end();
    });
  }

  async cancel(reason: unknown): Promise<void> {
    const decoder = await this.#decoder.catch(() => undefined);
    await decoder?.cancel(reason);
  }

  #walk(chunk: Uint8Array): void {
    try {
      this.#contents.push(chunk);
    } catch (error) {
      this.#contentDamage ??= error;
      throw error;
    }
  }

  /** Frees the decoder when `step` fails, and makes the failure one that names the archive. */
  async #orDamage<Result>(step: () => Promise<Result>): Promise<Result> {
    try {
      return await step();
    } catch (error) {
      await this.cancel(error).catch(() => {});
      const cause = this.#contentDamage ?? error;
      if (cause instanceof ArchiveDamage || cause instanceof UserError) throw cause;
      const text = cause instanceof Error ? cause.message : String(cause);
      throw new ArchiveDamage(
        `Archive is damaged before byte ${this.#bytes}: it cannot be decompressed (${text})`,
        {
          cause,
        },
      );
    }
  }
}
