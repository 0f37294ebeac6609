// The embedded registry without a client: its HTTP by `fetch`, as one would write it in an afternoon. No cache, no beats.
import { Agent, fetch } from "undici";
import { HOST, METADATA, TTL_S } from "./rivals.mjs";

export async function consumer(url) {
  const dispatcher = new Agent(); // one of its own, so that a new client's first question opens a connection
  const halt = new AbortController();
  const ask = async (service) => {
    const answer = await fetch(`${url}/v1/services/${service}/instances`, { dispatcher });
    return answer.ok ? (await answer.json()).instances.map(({ port }) => port) : [];
  };
  return {
    ask,
    again: ask,
    async subscribe(service, heard) {
      const answer = await fetch(`${url}/v1/watch?service=${service}`, { dispatcher, signal: halt.signal });
      void follow(answer.body, heard).catch(() => {});
    },
    async close() {
      halt.abort();
      await dispatcher.destroy();
    },
  };
}

export async function provider(url) {
  return {
    async register(service, port) {
      const registration = { service_name: service, host: HOST, port, metadata: METADATA, ttl: 20 * TTL_S };
      const { lease_id } = await send("POST", `${url}/v1/register`, registration);
      return () => send("POST", `${url}/v1/deregister`, { lease_id });
    },
    close: async () => {},
  };
}

async function send(method, url, body) {
  const headers = { "content-type": "application/json" };
  const answer = await fetch(url, { method, headers, body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(`${url} answered ${answer.status}: ${await answer.text()}`);
  return answer.json();
}

async function follow(body, heard) {
  const known = new Map();
  let rest = "";
  for await (const chunk of body.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      const { event, instances = [], added = [], updated = [], removed = [] } = JSON.parse(line);
      if (event === "snapshot") known.clear();
      for (const { id, port } of [...instances, ...added, ...updated]) known.set(id, port);
      for (const { id } of removed) known.delete(id);
      heard([...known.values()]);
    }
  }
}
