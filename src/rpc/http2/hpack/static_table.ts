import type { HeaderField } from "../stream.ts";

/** RFC 7541 appendix A, one line per name: the name, then its values, in the order of the indexes. */
const LINES = `
:authority
:method|GET|POST
:path|/|/index.html
:scheme|http|https
:status|200|204|206|304|400|404|500
accept-charset
accept-encoding|gzip, deflate
accept-language
accept-ranges
accept
access-control-allow-origin
age
allow
authorization
cache-control
content-disposition
content-encoding
content-language
content-length
content-location
content-range
content-type
cookie
date
etag
expect
expires
from
host
if-match
if-modified-since
if-none-match
if-range
if-unmodified-since
last-modified
link
location
max-forwards
proxy-authenticate
proxy-authorization
range
referer
refresh
retry-after
server
set-cookie
strict-transport-security
transfer-encoding
user-agent
vary
via
www-authenticate
`;

/** The fields that every HPACK peer knows; the wire's index is one more than the place here. */
export const STATIC_TABLE: readonly HeaderField[] = LINES.trim().split("\n").flatMap((line) => {
  const [name = "", ...values] = line.split("|");
  return values.length ? values.map((value) => [name, value] as const) : [[name, ""] as const];
});
