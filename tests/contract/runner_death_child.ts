import { LocalRunner } from "../../src/runner/local.ts";
import { live, SHORT_LIMITS } from "./runner_life.ts";

await live(new LocalRunner({ limits: SHORT_LIMITS }));
