/** Commands of fcntl(2), from linux/fcntl.h. */
const SET_PIPE_SIZE = 1031;
const GET_PIPE_SIZE = 1032;

/** What Linux lets everybody have (pipe(7), /proc/sys/fs/pipe-max-size). */
const PIPE_BYTES = 1024 * 1024;

const SIGNATURES = { fcntl: { parameters: ["i32", "i32", "i32"], result: "i32" } } as const;

/**
 * Lets the pipe behind the file descriptor hold 1 MiB instead of 64 KiB: its two ends then work side by side instead
 * of waking each other for every few bytes, which doubles what it carries. Where that cannot be had (it is no pipe,
 * there is no glibc, the system's limit is lower) everything stays as it is.
 */
export function enlargePipe(fd: number): void {
  let libc: Deno.DynamicLibrary<typeof SIGNATURES>;
  try {
    libc = Deno.dlopen("libc.so.6", SIGNATURES);
  } catch {
    return;
  }
  const bytes = libc.symbols.fcntl(fd, GET_PIPE_SIZE, 0);
  if (bytes > 0 && bytes < PIPE_BYTES) libc.symbols.fcntl(fd, SET_PIPE_SIZE, PIPE_BYTES);
  libc.close();
}

/** Enlarges our ends of the pipes that a process holds too, by default of those that are its stdin and stdout. */
export function enlargePipesOf(pid: number, descriptors: readonly number[] = [0, 1]): void {
  try {
    const theirs = descriptors.map((fd) => Deno.readLinkSync(`/proc/${pid}/fd/${fd}`));
    for (const { name } of Deno.readDirSync("/proc/self/fd")) {
      const target = linkOf(`/proc/self/fd/${name}`);
      if (target?.startsWith("pipe:") && theirs.includes(target)) enlargePipe(Number(name));
    }
  } catch {
    // It has ended already, or there is no /proc.
  }
}

/** The descriptor by which the directory is read is gone when it is looked at. */
function linkOf(path: string): string | undefined {
  try {
    return Deno.readLinkSync(path);
  } catch {
    return undefined;
  }
}
