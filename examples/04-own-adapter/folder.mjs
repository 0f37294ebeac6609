import { createHash, randomInt, randomUUID } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DiscoveryError, defineInstance, polling } from "mcp-discovery";

/** A folder that several machines share, as a registry: a folder per service, in it a file per instance. */
export function folderRegistry(folder, { intervalMs = 1_000, now = Date.now } = {}) {
  const fileOf = ({ service, id }) => join(folder, service, `${encodeURIComponent(id)}.json`);
  const isAlive = (record) => record !== undefined && record.until > now();
  const read = (file) => readFile(file, "utf8").then(JSON.parse).catch(unlessMissing);
  const write = async (lease, instance) => {
    const file = fileOf(instance);
    const fresh = `${file}.${randomUUID()}.new`;
    await writeFile(fresh, JSON.stringify({ instance, lease: lease.id, until: now() + lease.ttlMs }));
    await rename(fresh, file); // so that nobody ever reads half of it
  };
  const heldBy = async (lease) => {
    const record = await read(fileOf(lease.instance));
    return isAlive(record) && record.lease === lease.id ? record : undefined;
  };
  const source = {
    name: `folder ${folder}`,
    capabilities: { watch: "none", lease: "heartbeat", reasons: false, epoch: false, absence: true, quietMs: Infinity },
    async list(service, { since }) {
      const names = await readdir(join(folder, service)).catch(unlessMissing);
      if (!names) return { type: "absent" };
      const files = names.filter((name) => name.endsWith(".json")).sort();
      const records = await Promise.all(
        files.map((name) => read(join(folder, service, name)).catch(() => "unreadable")),
      );
      const instances = records.filter(isAlive).map((record) => defineInstance(record.instance));
      const invalid = records.filter((record) => record === "unreadable").length;
      const position = createHash("sha256").update(JSON.stringify(instances)).digest("hex");
      return since === position ? { type: "current", position } : { type: "reset", instances, position, invalid };
    },
    services: async () => ((await readdir(folder).catch(unlessMissing)) ?? []).sort(),
    close: async () => {},
  };

  return {
    ...polling(source, { intervalMs }), // it cannot push, so it is asked again and again
    async register(instance, { ttlMs }) {
      await mkdir(join(folder, instance.service), { recursive: true });
      const before = await read(fileOf(instance));
      const isOther = before?.instance.host !== instance.host || before.instance.port !== instance.port;
      if (isAlive(before) && isOther) throw new DiscoveryError("ID_CONFLICT", `${instance.id} lives elsewhere`);
      const life = defineInstance({ ...instance, ttlMs, registeredAt: now(), incarnation: randomInt(2 ** 47) });
      const lease = { id: randomUUID(), instance: life, ttlMs, heartbeatMs: ttlMs / 3 };
      await write(lease, life);
      return lease;
    },

    async renew(beats) {
      const unknown = [];
      for (const { lease, status } of beats) {
        const record = await heldBy(lease);
        if (record) await write(lease, { ...record.instance, status: status ?? record.instance.status });
        else unknown.push({ lease, reason: isAlive(await read(fileOf(lease.instance))) ? "replaced" : "expired" });
      }
      return { unknown };
    },

    async update(lease, instance) {
      if (!(await heldBy(lease))) throw new DiscoveryError("LEASE_LOST", `${instance.id} is not registered`);
      const { ttlMs, registeredAt, incarnation } = lease.instance;
      const life = defineInstance({ ...instance, ttlMs, registeredAt, incarnation });
      await write(lease, life);
      return { ...lease, instance: life };
    },

    async deregister(lease) {
      if (await heldBy(lease)) await rm(fileOf(lease.instance), { force: true });
      return {};
    },
  };
}

function unlessMissing(error) {
  if (error.code !== "ENOENT") throw new DiscoveryError("UNAVAILABLE", "The folder cannot be read", { cause: error });
}
