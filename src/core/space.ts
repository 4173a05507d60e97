/** What a filesystem must keep free: the larger of 5 % and 2 GiB. A full one harms more than a failed backup. */
export function reservedSpace(total: number): number {
  return Math.max(total * 0.05, 2 * 1024 ** 3);
}

/** Bytes that may still be written; never negative. */
export function usableSpace(space: { free: number; total: number }): number {
  return Math.floor(Math.max(0, space.free - reservedSpace(space.total)));
}
