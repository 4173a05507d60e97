/** The JSON schemas of the package: what plakar's sources and destinations take, from the option table. */
import { OPTIONS, type OptionSpec } from "../src/config/options.ts";
import { KNOWN_NAMES, PLAKAR_DEFAULTS } from "../src/plugin/options.ts";

/** What the schemas are called where they are shown. */
const TITLES = { importer: "Proxmox VE source", exporter: "Proxmox VE destination" } as const;

/** plakar always gives a location; a selection may come with each backup instead of standing in the source. */
const REQUIRED = ["location"];

/** JSON schema of a side's configuration. All values are texts: plakar knows no others. */
export function optionSchema(side: "importer" | "exporter"): string {
  const defaults: Readonly<Record<string, string>> = PLAKAR_DEFAULTS[side];
  const options = Object.entries(OPTIONS[side] as Readonly<Record<string, OptionSpec>>).map(
    ([key, { kind, text, default: common }]) => {
      const value = defaults[key] ?? common;
      return [key, { ...kind.json, description: text, ...(value === undefined ? {} : { default: value }) }];
    },
  );
  const schema = {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: TITLES[side],
    type: "object",
    properties: Object.fromEntries([...options, ...(side === "exporter" ? knownNames() : [])]),
    required: REQUIRED,
    additionalProperties: false,
  };
  return JSON.stringify(schema, null, 2);
}

function knownNames(): [string, unknown][] {
  return Object.entries(KNOWN_NAMES).map(([name, { key, ...values }]) => [name, {
    type: "string",
    enum: ["true", "false"],
    description: `true: ${key}=${values.true}; false: ${key}=${values.false}`,
    deprecated: true,
  }]);
}
