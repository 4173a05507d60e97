import assert from "node:assert/strict";
import { parseVzdumpConf, readVzdumpConf } from "../../../src/proxmox/vzdump_conf.ts";
import { standInNode } from "./node_stand_in.ts";

Deno.test("parseVzdumpConf() reads options and passes over comments and all else", () => {
  const text =
    "# storage: x\nbwlimit: 1024\nexclude-path: /tmp/?* /var/cache\n  ionice:7 \n#tmpdir: DIR\nnonsense\nscript:\npigz: 1\n";
  assert.deepEqual(parseVzdumpConf(text), {
    bwlimit: "1024",
    "exclude-path": "/tmp/?* /var/cache",
    ionice: "7",
    pigz: "1",
  });
});

Deno.test("readVzdumpConf() takes a node without the file for one without settings", async () => {
  assert.deepEqual(
    await readVzdumpConf(standInNode({ files: { readText: () => Promise.resolve(null) } })),
    {},
  );
  const denied = { readText: () => Promise.reject(new Error("EACCES")) };
  assert.deepEqual(await readVzdumpConf(standInNode({ files: denied })), {});
});
