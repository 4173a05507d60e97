/** A Proxmox VE release, such as 8.4. */
export interface Release {
  major: number;
  minor: number;
  /** As the node says it: `8.4.1`, `7.4-3`. */
  text: string;
}

/** Reads `8.4.1` or `7.4-3`; what is no version counts as the oldest release we know, 7.0. */
export function parseRelease(text: string): Release {
  const found = /^(\d+)\.(\d+)/.exec(text);
  return { major: Number(found?.[1] ?? 7), minor: Number(found?.[2] ?? 0), text };
}

/** Whether `release` is `major.minor` or later. */
export function isAtLeast(release: Release, major: number, minor: number): boolean {
  return release.major > major || (release.major === major && release.minor >= minor);
}
