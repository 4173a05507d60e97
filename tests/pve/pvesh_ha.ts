/** `/cluster/ha/resources` of pvesh, and what `pvesh set` may change there. */
import { type Context, ToolError } from "./context.ts";
import { checkQuorum } from "./guest_lookup.ts";
import { serviceId, setRequestedState } from "./ha.ts";
import { type GuestState, type SimState, updateState } from "./state.ts";

const DIGEST = "0123456789abcdef0123456789abcdef01234567";

function resource(guest: GuestState): Record<string, unknown> {
  return {
    sid: serviceId(guest),
    type: guest.kind === "qemu" ? "vm" : "ct",
    state: guest.ha,
    digest: DIGEST,
  };
}

function find(state: SimState, sid: string): GuestState {
  const guest = Object.values(state.guests).find((entry) =>
    entry.ha !== undefined && [serviceId(entry), String(entry.vmid)].includes(sid)
  );
  if (guest === undefined) throw new ToolError(`no such resource '${sid}'`);
  return guest;
}

export function haResources({ state }: Context): unknown {
  return Object.values(state.guests).filter(({ ha }) => ha !== undefined).map(resource);
}

export function haResource({ state }: Context, [sid = ""]: string[]): unknown {
  return resource(find(state, decodeURIComponent(sid)));
}

/** Answers nothing, as the real one does. */
export function setHaResource(context: Context, [sid = ""]: string[], options: ReadonlyMap<string, string>) {
  checkQuorum(context.state);
  updateState(context.dir, (state) => {
    const requested = options.get("state");
    const guest = find(state, sid);
    if (requested === undefined) return;
    try {
      setRequestedState(state, guest, requested);
    } catch (error) {
      throw new ToolError((error as Error).message);
    }
  });
}
