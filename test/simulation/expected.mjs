import { SLACK_MS } from "./checks.mjs";

/** The registry lists this provider again within one beat and a second. */
export function seenAgain(world, provider, extraMs, id) {
  const { life } = provider;
  if (!provider.isUp) return;
  world.checks.expect(world.beatMs + 1_000 + SLACK_MS + extraMs, id, `${provider.host} is not listed again`, () => {
    return provider.life !== life || !provider.isUp || world.checks.registry.lists(provider);
  });
}

export function upOf(world, dice) {
  const up = world.providers.filter(({ isUp }) => isUp);
  return up.length === 0 ? undefined : dice.oneOf(up);
}
