/** The JSON schemas of the package: what plakar's sources and destinations take, from the option table. */
import { OPTIONS, type OptionSpec } from "../src/config/options.ts";
import { KNOWN_NAMES, type KnownName, PLAKAR_DEFAULTS } from "../src/plugin/options.ts";

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
    properties: Object.fromEntries([...options, ...knownNames(side)]),
    required: REQUIRED,
    additionalProperties: false,
  };
  return JSON.stringify(schema, null, 2);
}

function knownNames(side: "importer" | "exporter"): [string, unknown][] {
  return Object.entries<KnownName>(KNOWN_NAMES[side]).map(([name, { key, values }]) => {
    const kind = (OPTIONS[side] as Readonly<Record<string, OptionSpec>>)[key]?.kind;
    const words = Object.entries(values ?? {});
    const meanings = words.map(([word, value]) =>
      `${word}: ${value === undefined ? "no change" : `${key}=${value}`}`
    );
    return [name, {
      ...(values ? { type: "string", enum: Object.keys(values) } : kind?.json),
      description: values ? meanings.join("; ") : `the same as ${key}`,
      deprecated: true,
    }];
  });
}
