import assert from "node:assert/strict";
import { needs } from "../needs.ts";
import {
  commandError,
  fileText,
  isAlive,
  type MakeRunner,
  pause,
  until,
  withBench,
} from "./runner_helpers.ts";

/** `filter`: bytes in, bytes out. */
export function filterContract(name: string, make: MakeRunner): void {
  Deno.test(`${name} filter() passes all bytes in order`, () =>
    withBench(make, async ({ runner }) => {
      const input = new Uint8Array(3_000_001).map((_, index) => index * 7 + (index >> 8));
      const output: Uint8Array[] = [];
      const filter = await runner.filter(["cat"], (chunk) => void output.push(chunk.slice()));
      for (let start = 0; start < input.length; start += 100_000) {
        await filter.write(input.slice(start, start + 100_000));
      }
      await filter.end();
      assert.deepEqual(new Uint8Array(await new Blob(output as BlobPart[]).arrayBuffer()), input);
      await filter.cancel("after the end");
    }));

  Deno.test(`${name} filter() lets no input in that its output waits for`, () =>
    withBench(make, async ({ runner }) => {
      const gate = Promise.withResolvers<void>();
      let taken = 0;
      const filter = await runner.filter(["cat"], () => gate.promise);
      const writing = (async () => {
        for (let i = 0; i < 256; i++) {
          await filter.write(new Uint8Array(64 * 1024));
          taken += 64 * 1024;
        }
      })();
      await pause(500);
      // Pipes hold little; the window of an SSH channel is 2 MiB in each direction (OpenSSH, channels.h).
      assert.ok(taken < 8 * 1024 * 1024, `${taken} bytes went in`);
      gate.resolve();
      await writing;
      await filter.end();
    }));

  Deno.test(`${name} filter() write rejects with the filter's own words when it ends early`, () =>
    withBench(make, async ({ runner, script }) => {
      const filter = await runner.filter(
        await script("head -c 1000 >&2; echo; echo 'bad input' >&2; exit 3"),
        () => {},
      );
      const error = await commandError((async () => {
        for (let i = 0; i < 100; i++) await filter.write(new Uint8Array(100_000));
      })());
      assert.equal(error.end.status, 3);
      assert.match(error.message, /exit status 3: bad input$/);
      assert.equal((await commandError(filter.end())).message, error.message);
    }));

  Deno.test(`${name} filter() end rejects when the filter failed after all input`, () =>
    withBench(make, async ({ runner, script }) => {
      const filter = await runner.filter(await script("cat; echo 'checksum wrong' >&2; exit 1"), () => {});
      await filter.write(new Uint8Array(10));
      assert.match((await commandError(filter.end())).message, /exit status 1: checksum wrong$/);
    }));

  Deno.test(`${name} filter() rejects when input was left over, whatever the status`, () =>
    withBench(make, async ({ runner }) => {
      const filter = await runner.filter(["head", "-c", "10"], () => {});
      const error = await commandError((async () => {
        for (let i = 0; i < 20; i++) await filter.write(new Uint8Array(100_000));
        await filter.end();
      })());
      assert.match(error.message, /ended before it took all its input/);
    }));

  Deno.test(`${name} filter() kills the filter and rejects with what onOutput threw`, () =>
    withBench(make, async ({ runner, dir, script }) => {
      const tool = await script(`echo $$ >${dir}/pid; exec cat`);
      const filter = await runner.filter(tool, () => {
        throw new RangeError("no room");
      });
      await assert.rejects(async () => {
        for (let i = 0; i < 100; i++) await filter.write(new Uint8Array(100_000));
      }, new RangeError("no room"));
      await assert.rejects(filter.end(), new RangeError("no room"));
      assert.ok(!isAlive(Number(fileText(`${dir}/pid`))));
    }));

  Deno.test(`${name} filter() end rejects with what onOutput threw at the last bytes`, () =>
    withBench(make, async ({ runner }) => {
      const filter = await runner.filter(["sort"], () => Promise.reject(new RangeError("late")));
      await filter.write(new TextEncoder().encode("b\na\n"));
      await assert.rejects(filter.end(), new RangeError("late"));
    }));

  Deno.test(`${name} filter() cancel kills the filter while it works`, () =>
    withBench(make, async ({ runner, dir, script }) => {
      const tool = await script(`echo $$ >${dir}/pid; trap '' TERM; while :; do sleep 1; done`);
      const filter = await runner.filter(tool, () => {});
      await until("the filter has started", () => fileText(`${dir}/pid`).endsWith("\n"));
      const writing = commandError((async () => {
        for (;;) await filter.write(new Uint8Array(100_000));
      })());
      await Promise.all([filter.cancel("enough"), filter.cancel("again")]);
      assert.equal((await writing).reason, "stopped");
      assert.equal((await commandError(filter.end())).reason, "stopped");
      assert.ok(!isAlive(Number(fileText(`${dir}/pid`))));
    }));

  Deno.test(`${name} filter() rejects when the tool is missing`, () =>
    withBench(make, async ({ runner }) => {
      assert.equal((await commandError(runner.filter(["no-such-tool"], () => {}))).reason, "not-found");
    }));

  Deno.test({
    name: `${name} filter() notices a zstd stream that was cut`,
    ...needs("zstd"),
    fn: () =>
      withBench(make, async ({ runner }) => {
        const packed: Uint8Array[] = [];
        const pack = await runner.filter(["zstd", "-q", "-c"], (chunk) => void packed.push(chunk.slice()));
        await pack.write(crypto.getRandomValues(new Uint8Array(60_000)));
        await pack.end();
        const whole = new Uint8Array(await new Blob(packed as BlobPart[]).arrayBuffer());
        const unpack = await runner.filter(["zstd", "-q", "-d", "-c"], () => {});
        await unpack.write(whole.subarray(0, whole.length - 5));
        assert.match((await commandError(unpack.end())).message, /^Cannot complete "zstd": exit status 1/);
      }),
  });
}
