/** A small service of texts for the tests of the gRPC server. */
import { bidiStreaming, clientStreaming, serverStreaming, unary } from "../../../../src/rpc/grpc/methods.ts";
import { createGrpcHandler, type GrpcOptions, type Services } from "../../../../src/rpc/grpc/server.ts";
import { callHeaders, MemoryStream } from "./memory_stream.ts";

export const TEXT = {
  request: {
    decode(bytes: Uint8Array): string {
      const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
      if (text === "unreadable") throw new Error("no such\n  message");
      return text;
    },
  },
  response: { encode: (text: string) => new TextEncoder().encode(text) },
};

export const ECHO: Services = {
  "test.Echo": {
    Upper: unary(TEXT, (text) => text.toUpperCase()),
    Split: serverStreaming(TEXT, async (text, responses) => {
      for (const word of text.split(" ").filter(Boolean)) await responses.send(word);
    }),
    Join: clientStreaming(TEXT, async (requests) => (await Array.fromAsync(requests)).join(" ")),
    Each: bidiStreaming(TEXT, async (requests, responses) => {
      for await (const text of requests) await responses.send(`${text}!`);
    }),
  },
};

/** Starts a call on a stream of its own. */
export function startCall(
  services: Services,
  path: string,
  options: GrpcOptions & { headers?: Record<string, string | undefined> } = {},
): { stream: MemoryStream; answered: Promise<void> } {
  const stream = new MemoryStream(callHeaders(path, options.headers));
  return { stream, answered: createGrpcHandler(services, options)(stream) };
}

/** Calls a method of the echo service with whole messages. */
export async function echo(
  method: string,
  messages: string[],
  options: Parameters<typeof startCall>[2] = {},
): Promise<MemoryStream> {
  const { stream, answered } = startCall(ECHO, `/test.Echo/${method}`, options);
  stream.sendOnly(...messages);
  await answered;
  return stream;
}

/** Lets everything run that waits for nothing but its turn. */
export async function settle(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 5));
}
