/** Has every sync but the first `good` ones in this thread fail with the system's `code`, until disposed of. */
export function failingSync(code: string, good = 0): Disposable {
  const { sync } = Deno.FsFile.prototype;
  let left = good;
  Deno.FsFile.prototype.sync = async function () {
    if (left-- <= 0) throw Object.assign(new Error("Input/output error (os error 5)"), { code });
    await sync.call(this);
  };
  return {
    [Symbol.dispose]() {
      Deno.FsFile.prototype.sync = sync;
    },
  };
}
