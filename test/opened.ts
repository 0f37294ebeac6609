import { afterEach } from "vitest";

interface Closable {
  close(): unknown;
}

/** What a test has opened: it is closed after it, the last first. */
export const opened: Closable[] = [];

afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.close();
});

/** Has it closed after the test. */
export function keep<T extends Closable>(value: T): T {
  opened.push(value);
  return value;
}
