import { archiveName } from "../archive/names.ts";
import type { Guest } from "../core/guest.ts";
import type { Compression } from "../archive/contents.ts";

/** Where things stand in a snapshot. */
export interface Layout {
  manifest: string;
  report: string;
  /** Path of a guest's archive. */
  archive(guest: Guest): string;
  /** Small texts beside a guest's archive: path to content. */
  sidecars(guest: Guest, config: Readonly<Record<string, string>> | undefined): Record<string, string>;
}

/**
 * `flat`: archives at the root, the manifest before them by its name. `tree`: as the Go integration for Proxmox
 * lays snapshots out, with configuration and pool beside each archive.
 */
export function makeLayout(kind: "flat" | "tree", run: { time: Date; compression: Compression }): Layout {
  const name = ({ kind, vmid }: Guest) => archiveName({ kind, vmid, ...run });
  if (kind === "flat") {
    return {
      manifest: "/manifest.json",
      report: "/report.json",
      archive: (guest) => `/${name(guest)}`,
      sidecars: () => ({}),
    };
  }
  const archive = (guest: Guest) =>
    `/backup/${guest.kind}/${guest.vmid}_${dirName(guest.name)}/${name(guest)}`;
  return {
    manifest: "/.manifest.json",
    report: "/.report.json",
    archive,
    sidecars: (guest, config) => ({
      ...(config ? { [`${archive(guest)}_${guest.kind}.conf`]: configText(config) } : {}),
      ...(guest.pool !== undefined ? { [`${archive(guest)}_pool.conf`]: guest.pool } : {}),
    }),
  };
}

/** A guest's name with nothing in it that a path could stumble over. */
function dirName(name = ""): string {
  return name.replaceAll(/[^A-Za-z0-9.-]+/g, "_").replace(/^[._-]+|[._-]+$/g, "") || "unnamed";
}

function configText(config: Readonly<Record<string, string>>): string {
  return Object.entries(config).map(([key, value]) => `${key}: ${value}\n`).join("");
}

/** Whether a file of a restored snapshot stands beside archives and is none itself. */
export function isSidecar(baseName: string): boolean {
  return /_(qemu|lxc|pool)\.conf$/.test(baseName);
}

/** The directories that `paths` stand in, each before what is in it. */
export function directoriesOf(paths: readonly string[]): string[] {
  const found = new Set<string>(["/"]);
  for (const path of paths) {
    const parts = path.split("/").slice(1, -1);
    parts.forEach((_, index) => found.add(`/${parts.slice(0, index + 1).join("/")}`));
  }
  return [...found];
}
