import { createHash } from "node:crypto";
import { mkdir, open, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";

/** First word of every file, with the version of its form. */
const FORM = "mcp-discovery/1";
/** Only its owner may read it: it may hold secrets. */
const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;
const WRITABLE_BY_OTHERS = 0o022;
/** More than any of our files holds, in bytes: 64 MiB. */
const MAX_BYTES = 64 * 1024 * 1024;

/** What was found at a path: the text, or why it cannot be used. */
export type Kept =
  | { readonly text: string }
  | { readonly ignored: "missing" | "foreign" | "writable by others" | "torn" | "too large" };

let written = 0;

/**
 * Puts a text into a file so that whoever reads it later finds all of it or what was there before, whenever this
 * process or its machine dies: written beside it, flushed, then renamed. Readable for its owner alone. The folder is
 * made if it is missing. Rejects with Node's own error.
 */
export async function writeDurably(path: string, text: string): Promise<void> {
  const folder = dirname(path);
  const beside = join(folder, `.${process.pid}-${written++}.tmp`);
  await mkdir(folder, { recursive: true, mode: FOLDER_MODE });
  try {
    const file = await open(beside, "wx", FILE_MODE);
    try {
      await file.writeFile(`${FORM} ${checksum(text)}\n${text}`);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(beside, path);
  } catch (error) {
    await rm(beside, { force: true });
    throw error;
  }
}

/** Reads what `writeDurably` wrote. What somebody else owns or could have written, or what is torn, is not believed. */
export async function readDurably(path: string): Promise<Kept> {
  const file = await open(path, "r").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  if (!file) return { ignored: "missing" };
  try {
    const { uid, mode, size } = await file.stat(); // of the opened file: nobody can put another in its place
    if (process.getuid && uid !== process.getuid()) return { ignored: "foreign" };
    if ((mode & WRITABLE_BY_OTHERS) !== 0 && process.platform !== "win32") return { ignored: "writable by others" };
    if (size > MAX_BYTES) return { ignored: "too large" };
    return unwrapped(await file.readFile("utf8"));
  } finally {
    await file.close();
  }
}

function unwrapped(content: string): Kept {
  const end = content.indexOf("\n");
  const text = content.slice(end + 1);
  return content.slice(0, Math.max(0, end)) === `${FORM} ${checksum(text)}` ? { text } : { ignored: "torn" };
}

function checksum(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
