import type { StreamHandler } from "../../src/rpc/http2/connection.ts";

/** Answers with the request's body, a line of its own, and a trailer field. */
export const echo: StreamHandler = async (stream) => {
  await stream.respond([[":status", "200"], ["content-type", "text/plain"]]);
  for (let bytes = await stream.read(); bytes; bytes = await stream.read()) await stream.write(bytes);
  await stream.write(new TextEncoder().encode("That was all.\n"));
  await stream.end([["x-trailer", "done"]]);
};
