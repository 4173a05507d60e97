// Makes container archives with GNU tar and the very options that vzdump gives it.
import { run } from "./helpers.ts";

export const PVE_TAR = [
  "tar",
  "cpf",
  "-",
  "--totals",
  "--one-file-system",
  "-p",
  "--sparse",
  "--numeric-owner",
  "--acls",
  "--xattrs",
  "--xattrs-include=user.*",
  "--xattrs-include=security.capability",
];

export const PCT_CONF = "arch: amd64\nhostname: web\nrootfs: local-lvm:vm-200-disk-0,size=8G\n";

/** Runs `use` with a directory that is removed afterwards. */
export async function withDirectory<Result>(use: (directory: string) => Promise<Result>): Promise<Result> {
  const directory = await Deno.makeTempDir({ prefix: "archive-test-" });
  try {
    return await use(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** A container archive: `./etc/vzdump/pct.conf` and `.fw` first, then the files that `fill` makes. */
export async function containerTar(
  options: { config?: string; firewall?: string; tar?: string[]; fill?: (root: string) => Promise<void> } =
    {},
): Promise<Uint8Array<ArrayBuffer>> {
  const { config = PCT_CONF, firewall = "", tar = PVE_TAR, fill = fillSmall } = options;
  return await withDirectory(async (directory) => {
    await Deno.mkdir(`${directory}/conf/etc/vzdump`, { recursive: true });
    await Deno.mkdir(`${directory}/root`);
    await Deno.writeTextFile(`${directory}/conf/etc/vzdump/pct.conf`, config);
    await Deno.writeTextFile(`${directory}/conf/etc/vzdump/pct.fw`, firewall);
    await fill(`${directory}/root`);
    const members = ["./etc/vzdump/pct.conf", "./etc/vzdump/pct.fw", `--directory=${directory}/root`, "./"];
    return await run([...tar, `--directory=${directory}/conf`, ...members]);
  });
}

async function fillSmall(root: string): Promise<void> {
  await Deno.mkdir(`${root}/bin`);
  await Deno.writeTextFile(`${root}/bin/true`, "#!/bin/sh\n");
  await Deno.symlink("true", `${root}/bin/yes`);
}

/** Everything that makes tar reach for its extensions. */
export async function fillRich(root: string): Promise<void> {
  await fillSmall(root);
  const deep = `${root}/${"a".repeat(120)}/${"b".repeat(120)}`;
  await Deno.mkdir(deep, { recursive: true });
  await Deno.writeTextFile(`${deep}/${"c".repeat(200)} \u00fc`, "long name");
  await Deno.symlink("x".repeat(300), `${root}/long-link`);
  await Deno.link(`${root}/bin/true`, `${root}/bin/hard`);
  await Deno.writeTextFile(`${root}/empty`, "");
  await Deno.writeFile(`${root}/odd`, new Uint8Array(70001).fill(7));
  await sparseFile(`${root}/sparse-10g`, 10 * 2 ** 30, [0, 4096 * 1000, 9 * 2 ** 30]);
  await sparseFile(`${root}/hole`, 2 ** 20, []);
  // So many pieces that old GNU tar needs blocks of their own for the map.
  await sparseFile(`${root}/pieces`, 2 ** 24, Array.from({ length: 60 }, (_, index) => index * 65536));
  await run(["mkfifo", `${root}/fifo`]);
}

async function sparseFile(path: string, size: number, offsets: readonly number[]): Promise<void> {
  using file = await Deno.open(path, { create: true, write: true });
  for (const offset of offsets) {
    await file.seek(offset, Deno.SeekMode.Start);
    await file.write(new Uint8Array(4096).fill(1));
  }
  await file.truncate(size);
}
