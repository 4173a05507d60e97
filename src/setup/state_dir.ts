/** Our own directory for what outlives a run: reports of restores, host keys that were accepted. */
export function stateDir(environment: Readonly<Record<string, string>>): string {
  const state = environment.XDG_STATE_HOME ??
    (Deno.uid() === 0 || !environment.HOME ? "/var/lib" : `${environment.HOME}/.local/state`);
  return `${state}/plakar-proxmox`;
}
