import assert from "node:assert/strict";
import { addCounts, countJunit, NOTHING, sentenceOf } from "../../../scripts/junit.ts";

const REPORT = `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="deno test" tests="5" failures="2" errors="0" time="0.027">
    <testsuite name="./tests/a_test.ts" tests="5" disabled="1" errors="0" failures="2">
        <testcase name="good" classname="./tests/a_test.ts" time="0.001" line="1" col="6">
        </testcase>
        <testcase name="good &gt; step" classname="./tests/a_test.ts" time="0.001" line="1" col="42">
        </testcase>
        <testcase name="reads &quot;x&quot; &amp; y" classname="./tests/a_test.ts" time="0.000" line="2" col="6">
            <skipped/>
        </testcase>
        <testcase name="bad" classname="./tests/a_test.ts" time="0.000" line="3" col="6">
            <failure message="Uncaught Error: &lt;skipped/&gt;">Error: no
    at file:///a_test.ts:3:32</failure>
        </testcase>
        <testcase name="worse" classname="./tests/a_test.ts" time="0.000" line="4" col="6">
            <error message="x">x</error>
        </testcase>
    </testsuite>
</testsuites>
`;

Deno.test("countJunit() counts tests and steps, and names what was skipped", () => {
  assert.deepEqual(countJunit(REPORT), {
    passed: 2,
    failed: 2,
    skipped: ['tests/a_test.ts: reads "x" & y'],
  });
});

Deno.test("countJunit() takes for skipped only what the filter takes", () => {
  assert.equal(countJunit(REPORT, "reads").skipped.length, 1);
  assert.equal(countJunit(REPORT, "/^reads/").skipped.length, 1);
  assert.equal(countJunit(REPORT, "good").skipped.length, 0);
  assert.equal(countJunit(REPORT, "/^x/").skipped.length, 0);
});

Deno.test("countJunit() finds nothing in a report that is missing or cut", () => {
  assert.deepEqual(countJunit(""), NOTHING);
  assert.equal(countJunit(REPORT.slice(0, REPORT.indexOf("good &gt;"))).passed, 1);
});

Deno.test("sentenceOf() names skipped tests only when there are any", () => {
  assert.equal(sentenceOf({ passed: 3, failed: 0, skipped: [] }), "3 passed, 0 failed");
  const sum = addCounts(countJunit(REPORT), { passed: 1, failed: 1, skipped: ["x"] });
  assert.equal(sentenceOf(sum), "3 passed, 3 failed, 2 skipped");
});
