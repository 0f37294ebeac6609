import { polling } from "../registry/polling.js";
import type { Capabilities, Discovery } from "../registry/registry.js";
import { systemRandom } from "../runtime/clock.js";
import { type Answer, answerOf } from "./nacos-answer.js";
import type { NacosApi } from "./nacos-api.js";
import type { NacosClient } from "./nacos-client.js";
import { ALIVE_MS } from "./nacos-connection.js";
import type { NacosSettings } from "./nacos-options.js";
import { NacosWatch } from "./nacos-watch.js";

/** Signs of life, or polls, that may be missing before a watch is opened again. */
const MISSING = 3;
const POLLED: Capabilities = {
  watch: "poll",
  lease: "heartbeat",
  reasons: false,
  epoch: false,
  absence: false,
  quietMs: 0,
};

/** What Nacos lists, pushed where gRPC is spoken, else polled. */
export function nacosSource(
  settings: NacosSettings,
  client: NacosClient,
  api: NacosApi,
): Required<Omit<Discovery, "fallback">> {
  const { name, host, scope, nameOf, grpc: addresses, intervalMs, clock } = settings;
  const answer = (service: string, hosts: readonly unknown[]): Answer =>
    answerOf(service, `${scope.groupName}@@${nameOf(service)}`, hosts);

  async function read(service: string, signal: AbortSignal): Promise<Answer> {
    return answer(service, await api.list(nameOf(service), signal));
  }

  const pushed = (service: string, hosts: readonly unknown[]): Answer => answer(service, api.listed(hosts));

  const plugs = { addresses, client, scope, clock };
  const telling = { nameOf, pushed, read, intervalMs, random: systemRandom };
  const watch = addresses.length === 0 ? undefined : new NacosWatch({ ...plugs, ...telling });

  const source = {
    name,
    host,
    capabilities: POLLED,

    async list(service, { since, signal }) {
      const answer = await read(service, signal);
      watch?.compare(service, answer);
      return since === answer.mark ? { type: "current", position: since } : answer.update;
    },

    async services({ signal }) {
      const names = (await api.services(signal)).map((each) => each.toLowerCase());
      return [...new Set(names)].sort();
    },

    async close() {
      watch?.close();
      await client.close();
    },
  } satisfies Discovery;

  if (!watch) return { ...source, ...polling(source, { intervalMs, clock }) };
  const polled = { ...POLLED, watch: "poll", quietMs: Math.max(intervalMs, ALIVE_MS) * MISSING } as const;
  const streamed = { ...polled, watch: "stream" } as const;
  return {
    ...source,
    get capabilities() {
      return watch.isPushing ? streamed : polled;
    },
    watch: (service, { since, signal }) => watch.of(service, since, signal),
  };
}
