import type { ConfigValues } from "../archive/guest_config.ts";
import { ctVolumes, type GuestVolume } from "../archive/guest_volumes.ts";
import { storageFor, type StorageMap } from "../core/storage_map.ts";
import type { PlannedRestore } from "./plan.ts";

const GIB = 1024 ** 3;

/**
 * Plans the volumes of a container on several storages: pct restore then makes those that it is given and no others,
 * each with all of its options (above all `backup=1`). What is mounted from the host must not be given: tar would
 * unpack into the host's directory.
 */
export function planVolumes(plan: PlannedRestore, config: ConfigValues, map: StorageMap): void {
  const volumes: Record<string, string> = {};
  const hostMounts: Record<string, string> = {};
  emptyVolumes(plan, config);
  for (const { key, type, size, storage: origin } of ctVolumes(config)) {
    const value = config[key] as string;
    if (type === "bind" || type === "device") hostMounts[key] = value;
    if (type !== "volume") continue;
    const storage = storageFor(map, key) ?? origin;
    const gib = Math.ceil((size ?? 0) / GIB);
    plan.disks.push({ key, size: gib * GIB, storage });
    if (storage === undefined || size === undefined) {
      const what = size === undefined ? "how large" : "on which storage";
      plan.refusals.push({ reason: `the archive does not say ${what} volume "${key}" was` });
    }
    volumes[key] = [`${storage}:${gib}`, ...optionsOf(value)].join(",");
  }
  if (volumes.rootfs === undefined) {
    plan.refusals.push({ reason: "the rootfs in the archive is no volume of a storage" });
  }
  plan.volumes = volumes;
  if (Object.keys(hostMounts).length > 0) plan.hostMounts = hostMounts;
}

/** Volumes that the container had and its backup does not hold; the plan warns of them. */
export function emptyVolumes(plan: PlannedRestore, config: ConfigValues): GuestVolume[] {
  const empty = ctVolumes(config).filter(({ type, inBackup }) => type === "volume" && !inBackup);
  plan.warnings.push(...empty.map(({ key }) => `${key} is not in the archive and comes back empty`));
  return empty;
}

/** All of a volume's options but its size, which the tool takes beside the storage. */
function optionsOf(value: string): string[] {
  const parts = value.split(",").map((part) => part.trim());
  return parts.filter((part) => part.includes("=") && !/^(volume|size)=/.test(part));
}
