/** A report counts less the older it is, and after this not at all, in milliseconds: tried from 1 to 60 s. */
const FADE_MS = 30_000;

/**
 * By how much what a server reported of itself adds to its cost, as a share, 0 to 1: the square of its utilization, so
 * that one half taken hardly counts. Steeper laws were tried; where clients make the load themselves, they chase it.
 */
export function strainOf(reports: Float64Array, place: number, now: number): number {
  const fresh = 1 - (now - reports[2 * place + 1]!) / FADE_MS;
  const utilization = reports[2 * place]!;
  return fresh > 0 ? fresh * utilization * utilization : 0;
}
