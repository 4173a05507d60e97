/** Clusters per page: 2 GiB of disk in 4 KiB of bits. */
const PAGE_CLUSTERS = 32768;
const PAGE_BYTES = PAGE_CLUSTERS / 8;

interface Page {
  count: number;
  /** Dropped when the page is full, so that a disk written in order costs next to nothing. */
  bits: Uint8Array | undefined;
}

/**
 * Which clusters of one disk were seen. Memory is taken per 2 GiB that are begun and not complete,
 * whatever size the archive claims for the disk.
 */
export class ClusterSet {
  readonly #pages = new Map<number, Page>();
  #last: Page = { count: 0, bits: undefined };
  #lastIndex = -1;
  #count = 0;
  #heldPages = 0;

  /** @param total clusters of the disk */
  constructor(readonly total: number) {}

  get missing(): number {
    return this.total - this.#count;
  }

  /** Notes a cluster, `0 <= cluster < total`. False: it was there before. */
  add(cluster: number): boolean {
    const index = Math.floor(cluster / PAGE_CLUSTERS);
    if (index !== this.#lastIndex) {
      this.#last = this.#page(index);
      this.#lastIndex = index;
    }
    const page = this.#last;
    if (page.bits === undefined) return false;
    const inPage = cluster % PAGE_CLUSTERS;
    const byte = inPage >> 3;
    const bit = 1 << (inPage & 7);
    const old = page.bits[byte] ?? 0;
    if ((old & bit) !== 0) return false;
    page.bits[byte] = old | bit;
    page.count += 1;
    this.#count += 1;
    if (page.count === PAGE_CLUSTERS) {
      page.bits = undefined;
      this.#heldPages -= 1;
    }
    return true;
  }

  /** The lowest cluster that was not seen; `undefined` when none is missing. */
  firstMissing(): number | undefined {
    if (this.missing === 0) return undefined;
    for (let index = 0;; index++) {
      const page = this.#pages.get(index);
      if (page === undefined) return index * PAGE_CLUSTERS;
      if (page.bits === undefined) continue;
      const byte = page.bits.findIndex((bits) => bits !== 0xff);
      const bits = page.bits[byte] ?? 0;
      // The lowest clear bit of a byte that has one.
      return index * PAGE_CLUSTERS + 8 * byte + Math.log2(~bits & (bits + 1));
    }
  }

  /** Bytes of bits held now. */
  get heldBytes(): number {
    return this.#heldPages * PAGE_BYTES;
  }

  #page(index: number): Page {
    let page = this.#pages.get(index);
    if (page === undefined) {
      page = { count: 0, bits: new Uint8Array(PAGE_BYTES) };
      this.#pages.set(index, page);
      this.#heldPages += 1;
    }
    return page;
  }
}
