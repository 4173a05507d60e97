import assert from "node:assert/strict";
import { ErrorCode } from "../../../../src/rpc/http2/errors.ts";
import type { HeaderField } from "../../../../src/rpc/http2/stream.ts";
import { hex, pattern } from "./bytes.ts";
import { echo, rawFrame, REQUEST, TestClient } from "./test_client.ts";

function announcing(length: string): { fields: HeaderField[] } {
  return { fields: [...REQUEST, ["content-length", length]] };
}

Deno.test("ServerConnection takes a body as long as its content-length, padding not counted", async () => {
  await using client = TestClient.greeted(echo);
  client.request(1, announcing("5"));
  client.data(1, "abc");
  client.send(rawFrame(0x0, 9, 1, hex("03 6465 000000")));
  assert.equal(new TextDecoder().decode((await client.response(1)).body), "abcde");
});

const wrong: Record<string, (client: TestClient) => void> = {
  "longer": (client) => {
    client.request(1, announcing("5"));
    client.data(1, pattern(6));
  },
  "shorter": (client) => {
    client.request(1, announcing("5"));
    client.data(1, pattern(4), true);
  },
  "shorter, ended by trailers": (client) => {
    client.request(1, announcing("5"));
    client.data(1, pattern(4));
    client.send(rawFrame(0x1, 0x5, 1, hex("0001610162")));
  },
  "missing": (client) => client.request(1, { ...announcing("5"), end: true }),
  "of unclear length": (client) => client.request(1, { ...announcing("five"), end: true }),
};

for (const [what, send] of Object.entries(wrong)) {
  Deno.test(`ServerConnection resets a request whose body is ${what}`, async () => {
    await using client = TestClient.greeted(
      (stream) => new Promise((resolve) => stream.signal.onabort = () => resolve()),
    );
    send(client);
    assert.equal(await client.resetCode(1), ErrorCode.PROTOCOL_ERROR);
  });
}
