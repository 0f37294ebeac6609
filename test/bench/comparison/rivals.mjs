// The clients people use today, from this folder's own packages, each as its documentation says.
import { createRequire } from "node:module";

const packages = createRequire(import.meta.url);

/** One of this folder's packages, none of the project's. */
export function rival(name) {
  return packages(name);
}

/** What every instance says of itself, whoever registers it. */
export const METADATA = { version: "v1.2", env: "prod" };
export const HOST = "127.0.0.1";
export const TTL_S = 30;

/** A logger that says nothing. */
export const quiet = { level() {}, debug() {}, info() {}, warn() {}, error() {} };
