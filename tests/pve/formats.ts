/** Formats of Proxmox's parameter schemas. Those that no caller of ours uses accept everything. */

const VMID = /^[1-9][0-9]{2,8}$/;
const STORAGE = /^[a-z][a-z0-9\-_.]*[a-z0-9]$/i;
const DNS_LABEL = /^[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?$/;

/** `keep-last=3,keep-weekly=2` or `keep-all=1`. */
function pruneProblem(value: string): string | undefined {
  const kinds = ["all", "last", "hourly", "daily", "weekly", "monthly", "yearly"];
  const seen = new Set<string>();
  for (const part of value.split(",")) {
    const match = /^keep-([a-z]+)=(\d+)$/.exec(part);
    if (!match || !kinds.includes(match[1]!)) {
      return `format error\n${part}: property is not defined in schema`;
    }
    if (seen.has(match[1]!)) {
      return `format error\nduplicate key in comma-separated list property: keep-${match[1]}`;
    }
    seen.add(match[1]!);
  }
  if (seen.has("all") && seen.size > 1 && /keep-all=1/.test(value)) {
    return "keep-all cannot be set together with other options.";
  }
  return undefined;
}

function fleecingProblem(value: string): string | undefined {
  const keys = new Map(
    value.split(",").map((part, index) => {
      const [key = "", ...rest] = part.split("=");
      return rest.length === 0 && index === 0 ? ["enabled", key] as const : [key, rest.join("=")] as const;
    }),
  );
  for (const key of keys.keys()) {
    if (key !== "enabled" && key !== "storage") {
      return `format error\n${key}: property is not defined in schema and the schema does not allow additional properties`;
    }
  }
  if (/^(1|on|yes|true)$/.test(keys.get("enabled") ?? "") && !keys.has("storage")) {
    return "format error\nstorage: missing property";
  }
  return undefined;
}

const CHECKS: Readonly<Record<string, (value: string) => string | undefined>> = {
  "pve-vmid": (value) => VMID.test(value) ? undefined : "value does not look like a valid VM ID",
  "pve-node": (value) => DNS_LABEL.test(value) ? undefined : "value does not look like a valid node name",
  "pve-storage-id": (value) =>
    STORAGE.test(value) ? undefined : `storage ID '${value}' contains illegal characters`,
  "pve-poolid": (value) =>
    /^[A-Za-z0-9._-]+(\/[A-Za-z0-9._-]+){0,2}$/.test(value)
      ? undefined
      : `pool name '${value}' contains invalid characters`,
  "pve-configid": (value) =>
    /^[a-z][a-z0-9_-]+$/i.test(value) ? undefined : `invalid configuration ID '${value}'`,
  "dns-name": (value) =>
    value.split(".").every((label) => DNS_LABEL.test(label))
      ? undefined
      : "value does not look like a valid DNS name",
  "pve-tag": (value) => /^[a-z0-9_][a-z0-9_\-+.]*$/i.test(value) ? undefined : `invalid characters in tag`,
  "pve-volume-id": (value) =>
    /^[a-z][a-z0-9_.-]*[a-z0-9]:.+$/i.test(value) ? undefined : `unable to parse volume ID '${value}'`,
  "email-or-username": (value) =>
    /^([\w+.-]+@[\w.-]+|[^\s:/]+@[A-Za-z][\w.-]+)$/.test(value)
      ? undefined
      : "value does not look like a valid email address or user name",
  "prune-backups": pruneProblem,
  "backup-fleecing": fleecingProblem,
};

/** The reason why `value` does not have the format, undefined if it has. An empty list is valid. */
export function formatProblem(format: string, value: string): string | undefined {
  const list = /^(.+)-a?list$/.exec(format);
  if (!list) return CHECKS[format]?.(value);
  for (const item of value.split(/[,;\s\0]+/).filter((item) => item !== "")) {
    const reason = CHECKS[list[1]!]?.(item);
    if (reason !== undefined) return reason;
  }
  return undefined;
}
