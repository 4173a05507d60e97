/// <reference lib="deno.worker" />
import { createHash } from "node:crypto";
import type { FileAnswer, FileRequest } from "./hashed_file.ts";

/** The thread behind `HashedFile`: blocking calls, which cost least, and block nobody here. */
const hash = createHash("sha256");
let file: Deno.FsFile;

function serve(request: FileRequest): FileAnswer {
  switch (request.what) {
    case "create":
      file = Deno.openSync(request.path, { write: true, createNew: true, mode: 0o600 });
      return {};
    case "append": {
      const bytes = new Uint8Array(request.buffer, 0, request.length);
      for (let taken = 0; taken < bytes.byteLength;) taken += file.writeSync(bytes.subarray(taken));
      hash.update(bytes);
      return { buffer: request.buffer };
    }
    case "finish":
      file.syncDataSync();
      file.close();
      return { sha256: hash.digest("hex") };
  }
}

self.onmessage = ({ data }: MessageEvent<FileRequest>) => {
  try {
    const answer = serve(data);
    self.postMessage(answer, answer.buffer ? [answer.buffer] : []);
  } catch (error) {
    // An error's class and its `code` do not survive the way to another thread.
    const { message, code } = error as Error & { code?: string };
    self.postMessage({ failure: { message, ...(code === undefined ? {} : { code }) } });
  }
};
