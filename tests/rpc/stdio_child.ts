/** A program that speaks HTTP/2 on its stdin and stdout; run by tests. */
import { ServerConnection } from "../../src/rpc/http2/connection.ts";
import { stdioWire } from "../../src/rpc/stdio.ts";
import { echo } from "./echo.ts";

await new ServerConnection(stdioWire(), echo).run();
