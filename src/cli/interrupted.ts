/** Resolves at the first Ctrl-C, SIGTERM, or when a parent that forked us is gone. */
export function interrupted(): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => resolve();
    process.once("SIGINT", done);
    process.once("SIGTERM", done);
    if (process.connected) process.once("disconnect", done);
  });
}
