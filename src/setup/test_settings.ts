/** What a restore test asks of the plan: a new guest beside whatever stands there. */
export const TEST_SETTINGS = {
  pool: undefined,
  if_exists: "refuse",
  destroy_excluded: false,
  start: "never",
  unique: "true",
  restore_method: "staged",
} as const;
