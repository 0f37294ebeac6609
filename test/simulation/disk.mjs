// A disk in memory, in the place of node:fs and node:fs/promises: as much of them as the library uses.

/** Path to file: what was written, and what of it would outlive a power cut. */
const files = new Map();
const opened = new Map();
let handles = 0;

export const constants = { O_RDONLY: 0, O_NOFOLLOW: 0 };

/** The machine loses its power: what was not flushed is cut off somewhere. */
export function cutPower(folder, share) {
  for (const [path, file] of files) {
    if (path.startsWith(folder) && file.bytes !== file.synced)
      file.bytes = file.bytes.subarray(0, share * file.bytes.length);
  }
}

/** In every file whose path begins so, one byte turns into another. False if there is no such file. */
export function corrupt(beginning, share) {
  const paths = [...files.keys()].filter((path) => path.startsWith(beginning));
  for (const path of paths) {
    const bytes = Buffer.from(files.get(path).bytes);
    bytes[Math.floor(share * (bytes.length - 1))] ^= 1;
    files.set(path, { bytes, synced: bytes });
  }
  return paths.length > 0;
}

/** Everything below a folder is gone. */
export function wipe(folder) {
  for (const path of files.keys()) if (path.startsWith(folder)) files.delete(path);
}

export function openSync(path) {
  const file = files.get(path);
  if (!file) throw missing(path);
  opened.set(++handles, file);
  return handles;
}

export function fstatSync(handle) {
  return statOf(opened.get(handle));
}

export function readFileSync(handle) {
  return opened.get(handle).bytes;
}

export function closeSync(handle) {
  opened.delete(handle);
}

export async function open(path, flags) {
  if (flags === "r") return reading(path);
  const file = { bytes: Buffer.alloc(0), synced: undefined };
  files.set(path, file);
  return {
    async writeFile(text) {
      file.bytes = Buffer.concat([file.bytes, Buffer.from(text)]);
    },
    async sync() {
      file.synced = file.bytes;
    },
    async close() {},
  };
}

export async function rename(from, to) {
  const file = files.get(from);
  if (!file) throw missing(from);
  files.delete(from);
  files.set(to, file);
}

export async function rm(path) {
  files.delete(path);
}

export async function mkdir() {}

function reading(path) {
  const file = files.get(path);
  if (!file) throw missing(path);
  return {
    stat: async () => statOf(file),
    readFile: async (encoding) => file.bytes.toString(encoding),
    async close() {},
  };
}

function statOf({ bytes }) {
  return { uid: process.getuid?.() ?? 0, mode: 0o600, size: bytes.length };
}

function missing(path) {
  return Object.assign(new Error(`ENOENT: no such file, ${path}`), { code: "ENOENT" });
}
