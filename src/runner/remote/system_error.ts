// What the tools say in the C locale, strerror(3), for errors that matter to us.
const CODES: Readonly<Record<string, string>> = {
  "No such file or directory": "ENOENT",
  "File exists": "EEXIST",
  "Permission denied": "EACCES",
  "Operation not permitted": "EPERM",
  "Not a directory": "ENOTDIR",
  "Is a directory": "EISDIR",
  "Directory not empty": "ENOTEMPTY",
  "No space left on device": "ENOSPC",
  "Disk quota exceeded": "EDQUOT",
  "File too large": "EFBIG",
  "Read-only file system": "EROFS",
  "Input/output error": "EIO",
  "Invalid cross-device link": "EXDEV",
  "Too many levels of symbolic links": "ELOOP",
  "File name too long": "ENAMETOOLONG",
  "Stale file handle": "ESTALE",
  "Device or resource busy": "EBUSY",
  "Transport endpoint is not connected": "ENOTCONN",
};

/** What a tool said when `action` failed, as an error with the system's `code` where it names one. */
export function fileError(action: string, said: string): Error {
  const line = said.trim().split("\n").at(-1)!;
  // "TOOL: …: REASON"; REASON is the last part, since names may hold anything.
  const reason = Object.keys(CODES).find((text) => line.endsWith(`: ${text}`));
  const error = new Error(`Cannot ${action}: ${reason ?? (line || "no reason given")}`);
  return reason === undefined ? error : Object.assign(error, { code: CODES[reason] });
}

/** The system's code of an error, "" when it has none. */
export function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}
