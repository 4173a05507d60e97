import { createGrpcHandler } from "../rpc/grpc/server.ts";
import { ServerConnection } from "../rpc/http2/connection.ts";
import { stdioWire } from "../rpc/stdio.ts";
import type { PluginContext } from "./context.ts";
import { exporterService } from "./exporter.ts";
import { importerService } from "./importer.ts";

/** The two sides that plakar starts. */
export type PluginMode = "importer" | "exporter";

/** Serves plakar on stdin and stdout until it closes our input; settles when what was running has ended. */
export async function servePlugin(mode: PluginMode, context: PluginContext): Promise<void> {
  const services = mode === "importer" ? importerService(context) : exporterService(context);
  await new ServerConnection(stdioWire(), createGrpcHandler(services)).run();
}
