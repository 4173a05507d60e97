/** An unguessable id for one run: 128 random bits, lower-case hex. */
export function newRunId(): string {
  return crypto.randomUUID().replaceAll("-", "");
}
