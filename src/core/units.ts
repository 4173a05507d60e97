import prettyBytes from "pretty-bytes";

/** `1.2 GiB`. */
export function sizeText(bytes: number): string {
  return prettyBytes(bytes, { binary: true });
}
