import type { GuestKind } from "../core/guest.ts";
import { openStage, type Stage } from "./check_stages.ts";
import { hexStart, MAGIC_BYTES, recognize } from "./compression.ts";
import {
  type ArchiveCheck,
  type ArchiveContents,
  ArchiveDamage,
  type ArchiveHead,
  type Compression,
  type DecoderFactory,
} from "./contents.ts";

/** What an archive should be. */
export interface ExpectedArchive {
  kind: GuestKind;
  /** Left out: whatever the first bytes say. */
  compression?: Compression;
  /** Told what stands at the archive's beginning as soon as it has passed. Not called for `frames` checks. */
  onHead?: (head: ArchiveHead) => void;
  /** Takes what comes out of the decompressor, see `DecoderFactory`; without compression it is never called. */
  onContent?: (chunk: Uint8Array) => Promise<void>;
}

/**
 * Checks an archive while its bytes pass. Without `decoder`, zstd and lzop are checked by their frames
 * only; gzip is always decompressed; bzip2 needs a decoder. Failures are {@linkcode ArchiveDamage};
 * only a decoder that cannot be started, or a `UserError` of it, comes through unchanged.
 * Without compression `push` works at once and returns no promise.
 */
export function checkArchive(expected: ExpectedArchive, decoder?: DecoderFactory): ArchiveCheck {
  return new Checker(expected, decoder);
}

const EMPTY = new Uint8Array(0);

class Checker implements ArchiveCheck {
  readonly #expected: ExpectedArchive;
  readonly #factory: DecoderFactory | undefined;
  /** The archive's beginning, until there is enough of it to tell what it is. */
  #first = EMPTY;
  #bytes = 0;
  #compression: Compression = "none";
  #stage: Stage | undefined;

  constructor(expected: ExpectedArchive, factory: DecoderFactory | undefined) {
    this.#expected = expected;
    this.#factory = factory;
  }

  push(chunk: Uint8Array): void | Promise<void> {
    this.#bytes += chunk.length;
    if (this.#stage !== undefined) return this.#stage.push(chunk);
    const first = new Uint8Array(this.#first.length + chunk.length);
    first.set(this.#first);
    first.set(chunk, this.#first.length);
    this.#first = first;
    return first.length < MAGIC_BYTES ? undefined : this.#begin(first).push(first);
  }

  async end(): Promise<ArchiveContents> {
    if (this.#bytes === 0) throw new ArchiveDamage("Archive is empty");
    const first = this.#first;
    if (this.#stage === undefined) await this.#begin(first).push(first);
    const walked = await this.#stage?.end();
    const { kind } = this.#expected;
    return {
      kind,
      format: kind === "qemu" ? "vma" : "tar",
      compression: this.#compression,
      bytes: this.#bytes,
      depth: walked === undefined ? "frames" : "contents",
      ...walked,
    };
  }

  async cancel(reason: unknown): Promise<void> {
    await this.#stage?.cancel(reason);
  }

  /** Chooses how to go on by the first bytes. */
  #begin(first: Uint8Array): Stage {
    this.#first = EMPTY;
    const compression = recognize(first)?.compression;
    if (compression === undefined) {
      throw new ArchiveDamage(`Archive is nothing that vzdump writes: it begins with ${hexStart(first)}`);
    }
    const expected = this.#expected.compression ?? compression;
    if (compression !== expected) {
      throw new ArchiveDamage(`Archive has compression "${compression}" where "${expected}" is expected`);
    }
    this.#compression = compression;
    const { kind, onHead, onContent } = this.#expected;
    this.#stage = openStage(compression, kind, this.#factory, {
      onHead: (head) => onHead?.({ compression, ...head }),
      onContent,
    });
    return this.#stage;
  }
}
