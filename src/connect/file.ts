import { fileURLToPath } from "node:url";
import { fileRegistry } from "../adapters/file.js";
import { invalid } from "../model/fields.js";
import type { Discovery } from "../registry/registry.js";
import { shownUrl } from "./shown-url.js";

/** `file:services.json` and `file:../services.json` from the working directory, `file:///etc/services.json` from the root. */
export function openFile(path: string, url: URL): Discovery {
  if (url.search !== "" || url.hash !== "" || url.hostname !== "") {
    throw invalid(path, shownUrl(url.href), "file: and a path, with nothing after it");
  }
  return fileRegistry(fileURLToPath(url));
}
