/** The byte stream under a connection. Reads and writes may overlap; each kind comes one after the other. */
export interface Wire {
  /** Fills some of `view`, from its start, and answers the filled part; `null` at the end. */
  read(view: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer> | null>;
  /** Sends all of `bytes`, which do not change before. A rejection means that the wire is gone. */
  write(bytes: Uint8Array): Promise<void>;
}

/** What is read at once: calls cost more than bytes, and a pipe may hold a megabyte. */
const BLOCK_BYTES = 256 * 1024;

/** Most blocks kept for later; more are held only while readers lag behind. */
const SPARE_BLOCKS = 8;

/** Memory that the wire is read into, read into again once nobody holds a part of it. */
export class Block {
  readonly bytes: Uint8Array<ArrayBuffer> = new Uint8Array(BLOCK_BYTES);
  #holds = 0;

  constructor(readonly pool: BlockPool) {}

  hold(): void {
    this.#holds++;
  }

  release(): void {
    if (--this.#holds === 0) this.pool.give(this);
  }
}

/** Keeps blocks for the next read, so that a steady stream allocates nothing. */
export class BlockPool {
  readonly #free: Block[] = [];

  /** A block held once, by the caller. */
  take(): Block {
    const block = this.#free.pop() ?? new Block(this);
    block.hold();
    return block;
  }

  give(block: Block): void {
    if (this.#free.length < SPARE_BLOCKS) this.#free.push(block);
  }
}
