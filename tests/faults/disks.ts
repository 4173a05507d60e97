/** Filesystems that are put over a directory for the length of one command, in a mount namespace of its own. */
import { dirname } from "node:path";
import type { Bed } from "../cli/harness.ts";
import type { FaultCase } from "./case.ts";

/** Directories of a case that a filesystem can be put over. */
export type Place = "store" | "dump directory" | "temporary directory";

/** A filesystem that is as large as given. Needs root. */
export interface SmallDisk {
  at: Place;
  /** Size in MiB. */
  size: number;
}

/**
 * A disk with much room that loses what goes beyond a number of bytes. As with a real one, a write goes to memory
 * and ends well, and whoever syncs learns that it was lost; or each write waits for the disk. Needs root.
 */
export interface FailingDisk {
  at: Place;
  /** KiB that reach the disk. What is to be lost must be some MiB more: one request that fits in part counts as written. */
  takes: number;
  tells: "who syncs" | "who writes";
}

/** The directory that TMPDIR names. */
export const temporary = (bed: Bed): string => `${dirname(bed.node.dir)}/tmp`;

/** Programs that a case's disk needs, see `needs`. */
export function programsFor({ smallDisk, failingDisk, unreadable, largestFile }: FaultCase): string[] {
  return [
    ...smallDisk || failingDisk || unreadable ? ["unshare", "root"] : [],
    ...failingDisk || unreadable ? ["losetup", "mkfs.ext4", "loop device"] : [],
    ...largestFile === undefined ? [] : ["prlimit"],
  ];
}

/** The command line that runs `command` on the disks of its case. */
export function onDisksOf(bed: Bed, row: FaultCase, command: string[]): string[] {
  const { smallDisk: small, failingDisk: failing, unreadable, largestFile } = row;
  const at = {
    "store": bed.store,
    "dump directory": bed.node.dumpDir,
    "temporary directory": temporary(bed),
  };
  if (small) return isolated(SMALL_DISK, at[small.at], `${small.size}m`, command);
  if (failing) {
    const options = failing.tells === "who writes" ? "discard,sync" : "discard";
    return isolated(FAILING_DISK, at[failing.at], `${failing.takes} ${options}`, command);
  }
  if (unreadable) return isolated(UNREADABLE, bed.store, "", command);
  // The signal would come from a limit of the process only, the error from a filesystem too.
  return largestFile === undefined
    ? command
    : ["env", "--ignore-signal=XFSZ", "prlimit", `--fsize=${largestFile * 1024}`, ...command];
}

/** In the script: `$d` is the directory, `$how` what is to be known besides, `"$@"` the command. */
function isolated(script: string, dir: string, how: string, command: string[]): string[] {
  const whole = `d=$1 how=$2; shift 2; ${script}; exit $s`;
  return ["unshare", "-m", "sh", "-c", whole, "sh", dir, how, ...command];
}

/** What the filesystem in `$d` held in the end is put into the directory below. */
const PUT_BACK =
  'find "$d" -mindepth 1 -delete && cp -a "$d.out/." "$d" && rm -r "$d.in" "$d.out" || exit 98';

const SMALL_DISK =
  `cp -a "$d" "$d.in" && mount -t tmpfs -o "size=$how,mode=755" tmpfs "$d" && cp -a "$d.in/." "$d" || exit 99
"$@"; s=$?
cp -a "$d" "$d.out" && umount -l "$d" && ${PUT_BACK}`;

/**
 * An image that is larger than the filesystem it lies on. A loop device over it fails when it has to find room; the
 * one over that learns of it only when it has the lower one sync, and says that with EIO. Both go by themselves with
 * what is mounted. What was only in memory goes too before anything is looked at.
 */
const FAILING_DISK = `cp -a "$d" "$d.in" && mkdir "$d.disk" && mount -t tmpfs -o size=48m tmpfs "$d.disk" &&
truncate -s 16G "$d.disk/image" && mkfs.ext4 -q -O ^has_journal -E nodiscard,lazy_itable_init=0 -N 1024 "$d.disk/image" || exit 99
lower=$(losetup -f --show "$d.disk/image") || exit 99
mount -o "loop,\${how#* }" "$lower" "$d"; m=$?; losetup -d "$lower"; [ $m -eq 0 ] || exit 99
cp -a "$d.in/." "$d" && rmdir "$d/lost+found" && chmod 755 "$d" && sync -f "$d" || exit 99
free=$(df -k --output=avail "$d.disk" | tail -n 1)
head -c "$(((free - \${how% *}) * 1024))" /dev/zero >"$d.disk/filling" || exit 99
"$@"; s=$?
umount "$d"; while [ -n "$(losetup -j "$d.disk/image")" ]; do sleep 0.1; done
mount -o loop,ro "$d.disk/image" "$d" && cp -a "$d" "$d.out" && umount "$d" &&
umount "$d.disk" && rmdir "$d.disk" && ${PUT_BACK}`;

/** Lays the snapshot's one archive on a disk of its own that is cut off after it was mounted: the end is unreadable. */
const UNREADABLE =
  `file=$(ls "$d"/*Z-*/vzdump-*.vma) && mkdir "$d.disk" && mount -t tmpfs -o size=96m tmpfs "$d.disk" || exit 99
size=$(($(stat -c %s "$file") / 1024))
truncate -s $((size + 8192))K "$d.disk/image" && mkdir "$d.disk/on" || exit 99
mkfs.ext4 -q -O ^has_journal -m 0 -N 16 "$d.disk/image" && mount -o loop "$d.disk/image" "$d.disk/on" || exit 99
cp "$file" "$d.disk/on/archive" && umount "$d.disk/on" && mount -o loop,ro "$d.disk/image" "$d.disk/on" || exit 99
ls "$d.disk/on/archive" >/dev/null && mount --bind "$d.disk/on/archive" "$file" || exit 99
truncate -s $((size / 2))K "$d.disk/image" || exit 99
"$@"; s=$?
umount "$file" && umount "$d.disk/on" && umount "$d.disk" && rmdir "$d.disk" || exit 98`;
