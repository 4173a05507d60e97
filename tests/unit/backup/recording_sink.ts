import { drain } from "../../../src/core/bytes.ts";
import type { SnapshotSink } from "../../../src/core/sink.ts";
import type { Manifest, Report } from "../../../src/core/snapshot.ts";

/** A sink that remembers what it was given. */
export class RecordingSink implements SnapshotSink {
  manifest: Manifest | undefined;
  report: Report | undefined;
  /** Names of the archives that came whole, in the order of their ends. */
  readonly stored: string[] = [];
  begin(manifest: Manifest): Promise<void> {
    this.manifest = manifest;
    return Promise.resolve();
  }
  async store(...[name, source, record]: Parameters<SnapshotSink["store"]>) {
    let bytes = 0;
    await drain(source, (chunk) => void (bytes += chunk.byteLength));
    this.stored.push(name);
    return record({ bytes });
  }
  finish(report: Report): Promise<void> {
    this.report = report;
    return Promise.resolve();
  }
}
