import { z } from "zod";
import { kindOfDisk, type StorageMap } from "../core/storage_map.ts";
import { parseLocation, withoutPassword } from "./location.ts";
import { Secret } from "./secret.ts";

/** A kind of option value: how its text form is read, and how it is described to people and to JSON schemas. */
export interface ValueKind<T> {
  /** Reads the text form; its issue messages complete the sentence "…: must be …". */
  schema: z.ZodType<T, string>;
  /** Shown as the flag's value in help and tables: `MIB`, `a|b`. */
  placeholder: string;
  /** The JSON schema of the text form, without default and description. */
  json: Readonly<Record<string, unknown>>;
  /** True for switches: the flag may stand without a value. */
  isSwitch?: true;
  /** True for what must not be shown: there is no flag for it, since every user may read command lines. */
  isSecret?: true;
  /** A text as messages may quote it; by default as it is. */
  shown?: (text: string) => string;
}

const YES = ["true", "1", "yes", "on"];
const NO = ["false", "0", "no", "off"];

function fail(ctx: z.RefinementCtx, message: string): never {
  ctx.addIssue({ code: "custom", message });
  return z.NEVER;
}

/** `true` or `false`, also spelled 1/0, yes/no, on/off as Proxmox does. */
export function flag(): ValueKind<boolean> {
  return {
    schema: z.string().transform((text, ctx) => {
      if (YES.includes(text.toLowerCase())) return true;
      if (NO.includes(text.toLowerCase())) return false;
      return fail(ctx, "must be true or false");
    }),
    placeholder: "true|false",
    json: { type: "string", enum: ["true", "false"] },
    isSwitch: true,
  };
}

/** One word of a closed list. */
export function oneOf<const T extends string>(...words: readonly [T, ...T[]]): ValueKind<T> {
  return {
    schema: z.string().transform((text, ctx) => {
      const word = words.find((candidate) => candidate === text);
      return word ?? fail(ctx, `must be one of ${words.join(", ")}`);
    }),
    placeholder: words.join("|"),
    json: { type: "string", enum: words },
  };
}

/** A whole number in a range, both ends included. */
export function integer(minimum: number, maximum: number, placeholder = "N"): ValueKind<number> {
  return {
    schema: z.string().transform((text, ctx) => {
      const number = /^\d{1,15}$/.test(text) ? Number(text) : NaN;
      if (number >= minimum && number <= maximum) return number;
      return fail(ctx, `must be a whole number from ${minimum} to ${maximum}`);
    }),
    placeholder,
    json: { type: "string", pattern: "^[0-9]+$" },
  };
}

/** Any text that is not empty and holds no control character; `pattern` narrows it. */
export function text(placeholder: string, pattern?: { is: RegExp; must: string }): ValueKind<string> {
  return {
    schema: z.string().transform((value, ctx) => {
      if (value === "") return fail(ctx, "must not be empty");
      // deno-lint-ignore no-control-regex -- control characters are exactly what is refused
      if (/[\u0000-\u001f\u007f]/.test(value)) return fail(ctx, "must not hold control characters");
      if (pattern && !pattern.is.test(value)) return fail(ctx, pattern.must);
      return value;
    }),
    placeholder,
    json: { type: "string", ...(pattern ? { pattern: pattern.is.source } : {}) },
  };
}

/** Texts separated by commas, blanks around them dropped. */
export function list(placeholder: string): ValueKind<string[]> {
  const item = text(placeholder);
  return {
    schema: item.schema.transform((value, ctx) => {
      const items = value.split(",").map((part) => part.trim());
      return items.includes("") ? fail(ctx, "must not hold an empty item") : items;
    }) as z.ZodType<string[], string>,
    placeholder,
    json: item.json,
  };
}

/** An absolute path, without `..`: it is handed to tools that run as root. */
export function absolutePath(): ValueKind<string> {
  return {
    schema: text("PATH").schema.transform((path, ctx) => {
      if (!path.startsWith("/")) return fail(ctx, "must be an absolute path");
      if (path.split("/").includes("..")) return fail(ctx, 'must not hold ".."');
      return path.replace(/(?<=.)\/+$/, "");
    }) as z.ZodType<string, string>,
    placeholder: "PATH",
    json: { type: "string", pattern: "^/" },
  };
}

/** A text that stays out of command lines, messages and records. */
export function secret(): ValueKind<Secret> {
  return {
    schema: text("TEXT").schema.transform((value) => new Secret(value)) as z.ZodType<Secret, string>,
    placeholder: "TEXT",
    json: { type: "string", format: "password" },
    isSecret: true,
    shown: () => "***",
  };
}

/** Where a node is: `root@pve1:22`, with or without a scheme; kept as the text that was given. */
export function location(): ValueKind<string> {
  return {
    schema: text("HOST").schema.transform((value, ctx) => {
      try {
        parseLocation(value);
        return value;
      } catch (error) {
        return fail(ctx, (error as SyntaxError).message);
      }
    }) as z.ZodType<string, string>,
    placeholder: "HOST",
    json: { type: "string" },
    shown: withoutPassword,
  };
}

/** A file of the machine we run on: an absolute path, or one below the home directory that begins with `~/`. */
export function ownFile(): ValueKind<string> {
  const must = "must be an absolute path or begin with ~/";
  return text("PATH", { is: /^~?\//, must });
}

/** Lowest and highest vmid Proxmox accepts (pve-common's JSONSchema.pm, `pve-vmid`). */
export const VMID_MIN = 100;
export const VMID_MAX = 999_999_999;

/** vmids asked for: those listed one by one must exist, those of a range may. */
export interface VmidSelection {
  listed: number[];
  ranges: { first: number; last: number }[];
}

function readVmid(text: string): number | undefined {
  return /^[1-9]\d{2,8}$/.test(text) ? Number(text) : undefined;
}

/** `101,105-110`. */
export function vmids(): ValueKind<VmidSelection> {
  return {
    schema: z.string().transform((value, ctx) => {
      const selection: VmidSelection = { listed: [], ranges: [] };
      for (const part of value.split(",").map((piece) => piece.trim())) {
        const [first, last, ...rest] = part.split("-").map((end) => readVmid(end.trim()));
        const isRange = part.includes("-");
        if (first === undefined || rest.length > 0 || (isRange && (last === undefined || last < first))) {
          return fail(
            ctx,
            `must list vmids such as 101,105-110 (${VMID_MIN} to ${VMID_MAX}); "${part}" is none`,
          );
        }
        if (isRange) selection.ranges.push({ first, last: last as number });
        else if (!selection.listed.includes(first)) selection.listed.push(first);
      }
      return selection;
    }),
    placeholder: "101,105-110",
    json: { type: "string", pattern: "^[0-9, -]+$" },
  };
}

/** What to leave out: vmids and ranges of them, everything else by name or tag. */
export function exclusions(): ValueKind<string[]> {
  const { schema, json } = list("ITEM");
  return {
    schema: schema.transform((items, ctx) => {
      for (const item of items.filter((text) => /^[\d-]+$/.test(text))) {
        const read = vmids().schema.safeParse(item);
        if (!read.success) return fail(ctx, read.error.issues[0]?.message ?? "must be a vmid");
      }
      return items;
    }) as z.ZodType<string[], string>,
    placeholder: "VMID|NAME|TAG",
    json,
  };
}

/** A vmid, or `next` for the next free one. */
export function newVmid(): ValueKind<number | "next"> {
  return {
    schema: z.string().transform((value, ctx) => {
      if (value === "next") return "next" as const;
      return readVmid(value) ?? fail(ctx, `must be "next" or a vmid from ${VMID_MIN} to ${VMID_MAX}`);
    }),
    placeholder: "VMID|next",
    json: { type: "string", pattern: "^(next|[1-9][0-9]{2,8})$" },
  };
}

/** Names of storages (pve-common's JSONSchema.pm, `pve-storage-id`). */
export const STORAGE_ID = { is: /^[A-Za-z][A-Za-z0-9\-_.]*[A-Za-z0-9]$/, must: "must be a storage id" };

/** One storage for all disks, storages by disk, or both: `fast`, `scsi0=fast,rootfs=big`, `fast,scsi1=slow`. */
export function storageMap(): ValueKind<StorageMap> {
  return {
    schema: text("STORAGE").schema.transform((value, ctx) => {
      const disks: Record<string, string> = {};
      let others: string | undefined;
      for (const part of value.split(",").map((piece) => piece.trim())) {
        const [, disk, storage = ""] = /^(?:([^=]*)=)?(.*)$/.exec(part) ?? [];
        if (!STORAGE_ID.is.test(storage) || (disk !== undefined && !kindOfDisk(disk))) {
          return fail(
            ctx,
            `must be a storage id, or storages by disk: scsi0=fast,mp0=big; "${part}" is neither`,
          );
        }
        if (disk === undefined ? others !== undefined : Object.hasOwn(disks, disk)) {
          return fail(ctx, `must give ${disk ?? "all other disks"} one storage`);
        }
        if (disk === undefined) others = storage;
        else disks[disk] = storage;
      }
      return { disks, ...(others === undefined ? {} : { others }) };
    }) as z.ZodType<StorageMap, string>,
    placeholder: "STORAGE|DISK=STORAGE",
    json: { type: "string", pattern: "^[A-Za-z][A-Za-z0-9=,_. -]*[A-Za-z0-9]$" },
  };
}
