import { type Guest, guestLabel } from "../../core/guest.ts";
import { fine, note, type Sighting, warning } from "../finding.ts";

const DAY = 24 * 60 * 60 * 1000;

/** What a store holds of each guest. */
export interface StoreAges {
  store: string;
  /** When the newest whole archive of a vmid was taken. */
  newest: ReadonlyMap<number, Date>;
  /** Days that a backup may be old. */
  maxAge: number;
}

/** Guests without a backup in the store, or with none that is recent. */
export function lookAtBackups(
  guests: readonly Guest[],
  { store, newest, maxAge }: StoreAges,
  now: Date,
): Sighting[] {
  const seen: Sighting[] = [];
  let recent = 0;
  for (const guest of guests) {
    const name = guest.name === undefined ? guestLabel(guest) : `${guestLabel(guest)} "${guest.name}"`;
    const taken = newest.get(guest.vmid);
    const days = taken ? (now.getTime() - taken.getTime()) / DAY : undefined;
    const say = guest.template ? note : warning;
    const remedy = `run "plakar-proxmox backup --vmid ${guest.vmid} --to ${store}"`;
    if (days === undefined) seen.push(say(`${name} has no backup in "${store}"`, remedy));
    else if (days < -1) {
      const text = `the newest backup of ${name} in "${store}" is of the future, ${taken?.toISOString()}`;
      seen.push(warning(text, "set the clock right, or move that snapshot away if its clock was wrong"));
    } else if (days <= maxAge) recent++;
    else seen.push(say(`the newest backup of ${name} is ${Math.floor(days)} days old`, remedy));
  }
  const all =
    `${recent} of ${guests.length} guests have a backup not older than ${maxAge} days in "${store}"`;
  return [fine(all), ...seen];
}
