/** A provider's ttl, in milliseconds: short, so that the registry too forgets a killed one while the demo runs. */
export const TTL_MS = 6_000;
