import { ConnectionError, ErrorCode } from "./errors.ts";
import { MAX_WINDOW } from "./flow.ts";
import { readUint32, type Setting } from "./frames.ts";

/** RFC 9113 section 6.5.2. */
export const SettingId = {
  HEADER_TABLE_SIZE: 0x1,
  ENABLE_PUSH: 0x2,
  MAX_CONCURRENT_STREAMS: 0x3,
  INITIAL_WINDOW_SIZE: 0x4,
  MAX_FRAME_SIZE: 0x5,
  MAX_HEADER_LIST_SIZE: 0x6,
} as const;

const SETTING_BYTES = 6;

/**
 * The settings in the payload of a SETTINGS frame, in their order, unknown ones too. Throws `ConnectionError` for a
 * bad length or a value that must not be.
 */
export function parseSettings(payload: Uint8Array): Setting[] {
  if (payload.length % SETTING_BYTES !== 0) {
    throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS has half a setting");
  }
  const settings: Setting[] = [];
  for (let at = 0; at < payload.length; at += SETTING_BYTES) {
    const identifier = payload[at]! << 8 | payload[at + 1]!;
    const value = readUint32(payload, at + 2);
    checkSetting(identifier, value);
    settings.push([identifier, value]);
  }
  return settings;
}

function checkSetting(identifier: number, value: number): void {
  if (identifier === SettingId.ENABLE_PUSH && value > 1) {
    throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, `SETTINGS_ENABLE_PUSH is ${value}`);
  }
  if (identifier === SettingId.INITIAL_WINDOW_SIZE && value > MAX_WINDOW) {
    throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, `SETTINGS_INITIAL_WINDOW_SIZE is ${value}`);
  }
  if (identifier === SettingId.MAX_FRAME_SIZE && (value < 2 ** 14 || value >= 2 ** 24)) {
    throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, `SETTINGS_MAX_FRAME_SIZE is ${value}`);
  }
}
