import type { Library } from "./library.ts";

/** The module "ssh2", as far as we use it. */
declare const ssh2: Pick<Library, "Client" | "BaseAgent" | "createAgent"> & {
  utils: Pick<Library, "parseKey">;
};
export default ssh2;
