/** A host, with or without a port, as it stands in a URL. */
const HOST = /^(\[[\da-f:.]+\]|[^\s:/?#@[\],]+)(:\d{1,5})?$/i;

/** Hosts of one registry as they stand in a URL, each with its port; undefined if one of them is no host. */
export function membersAt(hosts: readonly string[], usualPort: number): readonly string[] | undefined {
  if (!hosts.every((host) => HOST.test(host) && URL.canParse(`http://${host}`))) return undefined;
  return hosts.map((host) => (/:\d+$/.test(host) ? host : `${host}:${usualPort}`));
}
