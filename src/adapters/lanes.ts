/**
 * Acts on all of them, so many at a time. A failure ends its own lane only: the others go on with what is left, and the
 * first failure is thrown once nothing is under way any more.
 */
export async function inLanes<T>(items: readonly T[], lanes: number, act: (item: T) => Promise<void>): Promise<void> {
  const waiting = items.values();
  const lane = async (): Promise<void> => {
    for (const item of waiting) await act(item);
  };
  const ended = await Promise.allSettled(Array.from({ length: Math.min(lanes, items.length) }, lane));
  for (const each of ended) if (each.status === "rejected") throw each.reason;
}
