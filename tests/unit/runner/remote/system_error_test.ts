import assert from "node:assert/strict";
import { codeOf, fileError } from "../../../../src/runner/remote/system_error.ts";

Deno.test("fileError() keeps the system's code, whatever the file is called", () => {
  const cases: [said: string, code: string][] = [
    ["mkdir: cannot create directory '/a: File exists': No such file or directory\n", "ENOENT"],
    ["dd: failed to open '/a': File exists", "EEXIST"],
    ["cat: write error: No space left on device\n", "ENOSPC"],
    ["find: '/proc/1/fd': Permission denied", "EACCES"],
    ["cat: /a: Input/output error", "EIO"],
    ["first: File exists\nrm: cannot remove '/a': Is a directory", "EISDIR"],
    ["stat: cannot stat '/a: File exists': some new words", ""],
    ["", ""],
  ];
  for (const [said, code] of cases) assert.equal(codeOf(fileError("do it", said)), code, said);
});

Deno.test("fileError() says what was tried and what the node said", () => {
  assert.equal(
    fileError('create "/a"', "dd: failed to open '/a': Permission denied\n").message,
    'Cannot create "/a": Permission denied',
  );
  assert.equal(
    fileError('lock "/a"', "flock: 3: Bad file descriptor").message,
    'Cannot lock "/a": flock: 3: Bad file descriptor',
  );
  assert.equal(fileError('lock "/a"', "").message, 'Cannot lock "/a": no reason given');
});
