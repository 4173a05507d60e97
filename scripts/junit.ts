/** What a test run came to. Steps count as tests of their own. */
export interface Counts {
  passed: number;
  failed: number;
  /** File and name of each ignored test. */
  skipped: string[];
}

export const NOTHING: Counts = { passed: 0, failed: 0, skipped: [] };
export const ONE_FAILURE: Counts = { passed: 0, failed: 1, skipped: [] };

const ENTITIES: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };

/**
 * Counts the test cases of one JUnit report, as Deno writes it. It reports tests that its `filter` left out
 * as skipped; those are not counted.
 */
export function countJunit(xml: string, filter?: string): Counts {
  const counts: Counts = { passed: 0, failed: 0, skipped: [] };
  for (const [, attributes = "", body = ""] of xml.matchAll(/<testcase\b([^>]*)>(.*?)<\/testcase>/gs)) {
    const name = attributeOf(attributes, "name");
    if (/<(failure|error)\b/.test(body)) counts.failed++;
    else if (!body.includes("<skipped")) counts.passed++;
    else if (isMeant(name, filter)) {
      counts.skipped.push(`${attributeOf(attributes, "classname").replace(/^\.\//, "")}: ${name}`);
    }
  }
  return counts;
}

/** Whether `filter` takes the test, by the rules of `deno test --filter`. */
function isMeant(name: string, filter: string | undefined): boolean {
  const pattern = /^\/(.*)\/$/.exec(filter ?? "")?.[1];
  return pattern === undefined ? name.includes(filter ?? "") : new RegExp(pattern).test(name);
}

export function addCounts(a: Counts, b: Counts): Counts {
  return { passed: a.passed + b.passed, failed: a.failed + b.failed, skipped: [...a.skipped, ...b.skipped] };
}

/** `3 passed, 1 failed`, with `, 2 skipped` when any. */
export function sentenceOf(counts: Counts): string {
  const skipped = counts.skipped.length ? `, ${counts.skipped.length} skipped` : "";
  return `${counts.passed} passed, ${counts.failed} failed${skipped}`;
}

function attributeOf(attributes: string, key: string): string {
  return unescape(new RegExp(`\\b${key}="([^"]*)"`).exec(attributes)?.[1] ?? "");
}

function unescape(text: string): string {
  return text.replaceAll(/&(\w+);/g, (whole, name: string) => ENTITIES[name] ?? whole);
}
