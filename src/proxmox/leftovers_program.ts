/**
 * What looks at working directories on a node, and removes those of dead runs: one text for `sh`, so that nothing
 * can change between the look and the removal. POSIX sh with coreutils, findutils and util-linux.
 *
 * `sh -c LEFTOVERS_PROGRAM leftovers look|remove DIR…` says for each directory one line with tabs between the words,
 * `dir STATE BYTES AGE MODE PATH`, and after it any of `foreign NAME` and `restart|unfinished|replacing TOOL VMID`;
 * with `remove` also `removed`, `partly` where something foreign stays, or `failed WHY`.
 *
 * - A run holds `owner.lock` from before `busy` is made until its directory is gone. Without `busy` the run may be
 *   about to begin, which takes moments: such a directory is left alone while it is young.
 * - Locks and processes of other machines may be out of sight on a filesystem that several of them mount. There a
 *   directory counts as left over only when nothing in it has changed for a day.
 * - Both locks are held during the removal, and opened for writing as well: NFS grants an exclusive lock on nothing
 *   less (flock(2), NFS details).
 */
export const LEFTOVERS_PROGRAM = `mode=$1
shift
tab=$(printf '\\t')
held=$(find /proc/[0-9]*/fd /proc/[0-9]*/cwd /proc/[0-9]*/root -maxdepth 1 -type l -printf '%l\\n' 2>/dev/null
  cut -d ' ' -f 5 /proc/self/mountinfo)

is_held() {
  case "$held
" in
    *"$1
"* | *"$1/"*) return 0 ;;
  esac
  return 1
}

# Made by the run: its own files, an archive staged by a restore (0700, the archive 0600), what vzdump wrote of the
# guest in the directory's name. A mounted share may have modes of its own.
is_ours() {
  case $1 in
    owner.lock | busy | restart | unfinished | replacing | streamed | kept | ????????-????-????-????-????????????.log) return 0 ;;
    vzdump-*)
      case $dir_mode in
        700) [ -f "$dir/$1" ] && [ ! -L "$dir/$1" ] && [ "$(stat -c %a -- "$dir/$1")" = 600 ] && return 0 ;;
        *) case $1 in vzdump-*-"\${dir##*-}"-*) return 0 ;; esac ;;
      esac ;;
  esac
  return 1
}

find_state() {
  if [ -f "$dir/kept" ]; then state=kept && return; fi
  if [ ! -f "$dir/busy" ] && [ "$age" -lt 60 ]; then state=new && return; fi
  if [ -f "$dir/owner.lock" ]; then
    command exec 8<>"$dir/owner.lock" || return
    flock --nonblock --exclusive 8 || { state=owner && return; }
  fi
  if [ -f "$dir/busy" ]; then
    command exec 9<>"$dir/busy" || return
    flock --nonblock --exclusive 9 || { state=busy && return; }
  fi
  if is_held "$(realpath -- "$dir")"; then state=open && return; fi
  case $(stat -f -c %T -- "$dir") in
    ext2/ext3 | xfs | btrfs | zfs | f2fs | tmpfs | ramfs | overlayfs | reiserfs | jfs) ;;
    *) [ "$age" -ge 86400 ] || { state=shared && return; } ;;
  esac
  state=free
}

# Runs a command for each entry: \`each ours|foreign COMMAND…\`, path last.
each() {
  whose=$1
  shift
  for path in "$dir"/* "$dir"/.[!.]* "$dir"/..?*; do
    [ -e "$path" ] || [ -L "$path" ] || continue
    if is_ours "\${path##*/}"; then found=ours; else found=foreign; fi
    [ "$found" = "$whose" ] && "$@" "$path"
  done
}
say_foreign() { printf 'foreign\\t%s\\n' "$(printf %s "\${1##*/}" | tr '\\n\\t' '??')"; }
rm_tree() {
  case $1 in "$dir/busy" | "$dir/owner.lock") ;; *) rm -rf --one-file-system -- "$1" ;; esac
}
# The locks go last: what cannot be removed is told apart from a run's beginning by them.
remove() {
  said=$(each ours rm_tree 2>&1)
  if [ "$said" ]; then
    printf 'failed\\t%s\\n' "$(printf %s "$said" | tr '\\n\\t' '  ')"
    return
  fi
  rm -f -- "$dir/busy" "$dir/owner.lock"
  if rmdir -- "$dir" 2>/dev/null; then echo removed; else echo partly; fi
}

for dir in "$@"; do
  (
    [ -d "$dir" ] && [ ! -L "$dir" ] || exit
    dir_mode=$(stat -c %a -- "$dir")
    dir_mode=\${dir_mode#"\${dir_mode%???}"}
    changed=$(find "$dir" -maxdepth 1 -printf '%Ts\\n' | sort -n | tail -n 1)
    age=$(($(date +%s) - changed))
    state=unknown
    find_state
    bytes=$(du -s -B 1 -- "$dir" | cut -f 1)
    printf 'dir\\t%s\\t%s\\t%s\\t%s\\t%s\\n' "$state" "$bytes" "$age" "$dir_mode" "$dir"
    each foreign say_foreign
    for note in restart unfinished replacing; do
      if { read -r tool && read -r vmid; } 2>/dev/null <"$dir/$note"; then
        printf '%s\\t%s\\t%s\\n' "$note" "$tool" "$vmid"
      fi
    done
    if [ "$mode" = remove ] && [ "$state" = free ]; then remove; fi
  )
done
exit 0
`;
