/** `status`, `config` and `list` of qm and pct. */
import type { ParsedArguments } from "./args.ts";
import { configEntries, diskLines, isCdrom, parseSize, splitSections, withPending } from "./config.ts";
import { type Context, print, ToolError } from "./context.ts";
import { localGuest } from "./guest_lookup.ts";
import type { GuestKind, GuestState } from "./state.ts";

/** Containers know running and stopped only. */
function shownStatus(guest: GuestState): string {
  if (guest.kind === "qemu") return guest.status;
  return guest.status === "stopped" ? "stopped" : "running";
}

function status(context: Context, guest: GuestState, verbose: boolean): void {
  if (!verbose) return print(`status: ${shownStatus(guest)}`);
  const entries = configEntries(guest.config);
  const running = guest.status !== "stopped";
  const values: Record<string, string | number> = {
    cpus: Number(entries.get("cores") ?? 1),
    maxmem: Number(entries.get("memory") ?? 512) * 1024 ** 2,
    name: entries.get("name") ?? entries.get("hostname") ?? `VM${guest.vmid}`,
    status: running ? "running" : "stopped",
    uptime: running ? Math.floor((Date.now() - (guest.startedAt ?? Date.now())) / 1000) : 0,
    vmid: guest.vmid,
    ...(guest.kind === "qemu" ? { qmpstatus: guest.status } : { type: "lxc" }),
    ...(entries.has("lock") ? { lock: entries.get("lock")! } : {}),
    ...(entries.get("template") === "1" ? { template: 1 } : {}),
    ...(guest.ha === undefined ? {} : { ha: `{"managed":1,"state":"${guest.ha}"}` }),
  };
  for (const key of Object.keys(values).sort()) print(`${key}: ${values[key]}`);
  void context;
}

/** Leading comment lines are the description. */
function description(config: string): string | undefined {
  const lines = splitSections(config).current.split("\n").filter((line) => line.startsWith("#"));
  return lines.length === 0 ? undefined : lines.map((line) => line.slice(1)).join("%0A");
}

function config(guest: GuestState, parsed: ParsedArguments): void {
  const snapshot = parsed.text("snapshot");
  if (snapshot !== undefined && !splitSections(guest.config).sections.has(snapshot)) {
    throw new ToolError(`snapshot '${snapshot}' does not exist`);
  }
  const text = snapshot === undefined && !parsed.flag("current") ? withPending(guest.config) : guest.config;
  const entries = configEntries(text, snapshot);
  const about = description(guest.config);
  if (snapshot === undefined && about !== undefined) entries.set("description", about);
  const raw = (key: string) => key.startsWith("lxc.") ? 1 : 0;
  const keys = [...entries.keys()].sort((a, b) => raw(a) - raw(b) || (a < b ? -1 : 1));
  for (const key of keys) print(`${key}: ${entries.get(key)}`);
}

function listVms(guests: readonly GuestState[]): void {
  const columns = [10, -20, -10, -10, 12, -10];
  const row = (cells: readonly string[]) =>
    print(
      cells.map((cell, index) => {
        const width = columns[index]!;
        return width > 0 ? cell.padStart(width) : cell.padEnd(-width);
      }).join(" "),
    );
  row(["VMID", "NAME", "STATUS", "MEM(MB)", "BOOTDISK(GB)", "PID"]);
  for (const guest of guests) {
    const entries = configEntries(guest.config);
    const disk = diskLines("qemu", guest.config).find((line) => !isCdrom(line));
    const size = parseSize(disk?.options.get("size") ?? "0") / 1024 ** 3;
    const shown = guest.status === "stopped" ? "stopped" : "running";
    const pid = shown === "running" ? String(10000 + guest.vmid) : "0";
    row([
      String(guest.vmid),
      entries.get("name") ?? "",
      shown,
      entries.get("memory") ?? "512",
      size.toFixed(2),
      pid,
    ]);
  }
}

function listContainers(guests: readonly GuestState[]): void {
  const row = (cells: readonly string[]) =>
    print(cells.map((cell, index) => cell.padEnd([10, 10, 12, 20][index]!)).join(" "));
  row(["VMID", "Status", "Lock", "Name"]);
  for (const guest of guests) {
    const entries = configEntries(guest.config);
    row([String(guest.vmid), shownStatus(guest), entries.get("lock") ?? "", entries.get("hostname") ?? ""]);
  }
}

export function guestInfo(context: Context, kind: GuestKind, name: string, parsed: ParsedArguments): number {
  if (name === "list") {
    const guests = Object.values(context.state.guests)
      .filter((guest) => guest.kind === kind && guest.node === context.node)
      .sort((a, b) => a.vmid - b.vmid);
    // Nothing at all, not even a header, when there is nothing to list.
    if (guests.length > 0) (kind === "qemu" ? listVms : listContainers)(guests);
    return 0;
  }
  const guest = localGuest(context.state, context.node, kind, parsed.number("vmid")!);
  if (name === "status") status(context, guest, parsed.flag("verbose"));
  else config(guest, parsed);
  return 0;
}
