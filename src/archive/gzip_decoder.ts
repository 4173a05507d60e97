import { createGunzip } from "node:zlib";
import { ArchiveDamage, type Decoder } from "./contents.ts";

const OUTPUT_BYTES = 64 * 1024;

/**
 * A decoder for gzip, several members included. Rejects on a cut, on damage that the checksums tell,
 * and on anything behind the last member, zeros included: zlib passes over those, vzdump writes none.
 */
export function gzipDecoder(onOutput: (chunk: Uint8Array) => void | Promise<void>): Decoder {
  const inflate = createGunzip({ chunkSize: OUTPUT_BYTES });
  let taken = 0;
  let interrupt = (_reason: unknown) => {};
  const delivered = (async () => {
    for await (const chunk of inflate) await onOutput(chunk);
  })();
  delivered.catch((reason) => interrupt(reason));
  // The failure comes out of `delivered`; an error event after that has nothing to add.
  inflate.on("error", () => {});

  return {
    async write(chunk) {
      taken += chunk.length;
      await new Promise<void>((resolve, reject) => {
        // When the consumer fails, zlib never comes back to this write.
        interrupt = reject;
        inflate.write(chunk, (error) => error ? delivered.then(resolve, reject) : resolve());
      });
    },
    async end() {
      inflate.end();
      await delivered;
      const { bytesWritten } = inflate;
      if (bytesWritten < taken) {
        throw new ArchiveDamage(
          `Archive is damaged at byte ${bytesWritten}: something follows the gzip data`,
        );
      }
    },
    async cancel() {
      inflate.destroy();
      await delivered.catch(() => {});
    },
  };
}
