/** A digest over a directory tree: names, kinds, modes, owners, link targets and contents. */
import { createHash } from "node:crypto";

function* walk(root: string, path: string): Generator<string> {
  const names = [...Deno.readDirSync(`${root}/${path}`)].map((entry) => entry.name).sort();
  for (const name of names) {
    const child = path === "" ? name : `${path}/${name}`;
    yield child;
    if (Deno.lstatSync(`${root}/${child}`).isDirectory) yield* walk(root, child);
  }
}

function describe(root: string, path: string): string {
  const full = `${root}/${path}`;
  const info = Deno.lstatSync(full);
  const owner = `${(info.mode ?? 0).toString(8)} ${info.uid}:${info.gid}`;
  if (info.isSymlink) return `${path} -> ${Deno.readLinkSync(full)}`;
  if (!info.isFile) return `${path} ${owner}`;
  const content = createHash("sha256").update(Deno.readFileSync(full)).digest("hex");
  return `${path} ${owner} ${info.size} ${content}`;
}

/** Whether the container's standard excludes leave a path out of a backup. */
function isScratch(path: string): boolean {
  return /^tmp\/.|^var\/tmp\/.|^var\/run\/.*\.pid$/.test(path);
}

/** sha256 of the tree below `root`. Files that backups leave out by default do not count. */
export function treeDigest(root: string): string {
  const hash = createHash("sha256");
  for (const path of walk(root, "")) if (!isScratch(path)) hash.update(describe(root, path) + "\0");
  return hash.digest("hex");
}
