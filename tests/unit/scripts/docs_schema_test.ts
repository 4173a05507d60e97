import assert from "node:assert/strict";
import { optionSchema } from "../../../scripts/docs_schema.ts";
import { exporterOptions, importerOptions } from "../../../src/plugin/options.ts";

interface Schema {
  properties: Record<
    string,
    { type: string; default?: string; enum?: string[]; format?: string; deprecated?: boolean }
  >;
  additionalProperties: boolean;
}

const READERS = { importer: importerOptions, exporter: exporterOptions } as const;

for (const side of ["importer", "exporter"] as const) {
  const schema = JSON.parse(optionSchema(side)) as Schema;

  Deno.test(`optionSchema() knows the same defaults as the ${side}`, () => {
    const told = Object.entries(schema.properties)
      .flatMap(([key, spec]) => spec.default === undefined ? [] : [[key, spec.default]]);
    // A default that is written down counts as given, and nothing else differs.
    const { isIfExistsGiven: _, ...written } = {
      isIfExistsGiven: false,
      ...READERS[side](Object.fromEntries(told)),
    };
    const { isIfExistsGiven: __, ...unwritten } = { isIfExistsGiven: false, ...READERS[side]({}) };
    assert.deepEqual(written, unwritten);
  });

  Deno.test(`optionSchema() lists only words that the ${side} takes`, () => {
    for (const [key, { enum: words }] of Object.entries(schema.properties)) {
      for (const word of words ?? []) READERS[side]({ [key]: word });
    }
  });

  Deno.test(`optionSchema() describes texts in snake_case and nothing else for the ${side}`, () => {
    assert.equal(schema.additionalProperties, false);
    for (const [key, { type }] of Object.entries(schema.properties)) {
      assert.match(key, /^[a-z]+(_[a-z]+)*$/);
      assert.equal(type, "string", key);
    }
  });
}

Deno.test("optionSchema() marks names known from elsewhere as deprecated", () => {
  const { properties } = JSON.parse(optionSchema("exporter")) as Schema;
  const deprecated = Object.keys(properties).filter((key) => properties[key]?.deprecated);
  const sftp = ["username", "port", "identity", "insecure_ignore_host_key"];
  assert.deepEqual(deprecated, [...sftp, "start_on_restore", "force_vm_restore"]);
});

Deno.test("optionSchema() marks what must not be shown", () => {
  const { properties } = JSON.parse(optionSchema("importer")) as Schema;
  const secrets = Object.keys(properties).filter((key) => properties[key]?.format === "password");
  assert.deepEqual(secrets, ["conn_password", "conn_identity_passphrase"]);
});
