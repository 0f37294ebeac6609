import assert from "node:assert/strict";
import { execFileSync, fork } from "node:child_process";
import { once } from "node:events";
import { chmodSync, chownSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { afterAll, beforeAll, describe, it } from "vitest";
import { DiscoveryError, defineInstance } from "../../src/index.js";
import { HeldInstance, type Life } from "../../src/registry/held-instance.js";
import { decoded, encoded, readSnapshot, writeSnapshot } from "../../src/registry/snapshot-file.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const LIVES = 100;
const folder = mkdtempSync(join(tmpdir(), "snapshot-"));
let files = 0;
const freshPath = (): string => join(folder, `${files++}.leases`);

afterAll(() => rmSync(folder, { recursive: true }));

describe("a snapshot's text", () => {
  it("says of every lease what is needed to go on with it", () => {
    const health = { path: "/up", intervalMs: 5_000, timeoutMs: 1_000, failures: 2 };
    const holder = "0123456789abcdef";
    const told = { health, holder, edition: 4 };
    const held = lease(1, { ...told, status: "draining", metadata: { city: "Köln" }, tags: ["a"], zone: "eu" });
    const { revision, leases } = decoded(Buffer.from(text(7, [held])));
    assert.equal(revision, 7);
    const [read] = leases;
    assert.deepEqual(
      { ...read, instance: undefined },
      { leaseId: held.leaseId, ttlMs: 30_000, health, holder, edition: 4, instance: undefined },
    );
    assert.deepEqual({ ...read?.instance }, { ...held.instance });
  });

  it("keeps what an agent declares, not what was seen of it", () => {
    const held = lease(1);
    held.instance = defineInstance({ ...held.instance, status: "failed" });
    assert.equal(decoded(Buffer.from(text(1, [held]))).leases[0]?.instance.status, "healthy");
  });

  it("is read whole or not at all, wherever it ends and whatever is changed in it", () => {
    const whole = Buffer.from(
      text(
        3,
        Array.from({ length: 600 }, (_, index) => lease(index + 1)),
      ),
    );
    assert.equal(decoded(whole).leases.length, 600);
    const anywhere = fc.nat(whole.length - 1);
    fc.assert(fc.property(anywhere, (end) => void assert.throws(() => decoded(whole.subarray(0, end)), isUnusable)));
    fc.assert(
      fc.property(anywhere, fc.integer({ min: 1, max: 255 }), (at, change) => {
        const changed = Buffer.from(whole);
        changed[at] = (changed[at] as number) ^ change;
        assert.throws(() => decoded(changed), isUnusable);
      }),
    );
  });

  it("counts every one of its bytes", () => {
    const whole = Buffer.from(text(3, [lease(1)]));
    for (const at of whole.keys()) {
      const changed = Buffer.from(whole);
      changed[at] = (changed[at] as number) ^ 1;
      assert.throws(() => decoded(changed), isUnusable, `byte ${at}`);
    }
  });

  it("of no leases is one as well", () => {
    assert.deepEqual(decoded(Buffer.from(text(0, []))), { revision: 0, leases: [] });
  });

  it("of another version is refused by that name", () => {
    const newer = text(1, []).replace('"version":1', '"version":2');
    assert.throws(() => decoded(Buffer.from(newer)), /its version is 2, ours 1/);
    assert.throws(() => decoded(Buffer.from("#!/bin/sh\n")), /it is no snapshot of leases/);
  });
});

describe("a snapshot's file", () => {
  it("is nobody else's to read", async () => {
    const path = await written();
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.equal(readSnapshot(path)?.leases.length, 1);
  });

  it("is none where there is none", () => {
    assert.equal(readSnapshot(freshPath()), undefined);
  });

  it("is not trusted if others may write it, or if it is a link to somewhere", async () => {
    const path = await written();
    chmodSync(path, 0o602);
    assert.throws(() => readSnapshot(path), /others may write it/);
    chmodSync(path, 0o620);
    assert.throws(() => readSnapshot(path), /others may write it/);
    const link = freshPath();
    symlinkSync(await written(), link);
    assert.throws(() => readSnapshot(link), /ELOOP/);
    assert.throws(() => readSnapshot(folder), /EISDIR|others may write/);
  });

  it.runIf(process.getuid?.() === 0)("is not trusted if it belongs to somebody else", async () => {
    const path = await written();
    chownSync(path, 65_534, 65_534);
    assert.throws(() => readSnapshot(path), /it belongs to another user/);
  });

  it("replaces what a crash or somebody else left beside it", async () => {
    const path = freshPath();
    writeFileSync(`${path}.tmp`, "half", { mode: 0o666 });
    await writeSnapshot(path, encoded(1, [lease(1)]));
    assert.equal(readSnapshot(path)?.leases.length, 1);
    const target = freshPath();
    symlinkSync(target, `${path}.tmp`);
    await writeSnapshot(path, encoded(2, [lease(1)]));
    assert.equal(readSnapshot(target), undefined);
  });

  it("stays as it was when the next cannot be written, and nothing is left beside it", async () => {
    const path = await written();
    function* failing(): Generator<string> {
      yield "half of a ";
      throw Object.assign(new Error("ENOSPC: no space left on device"), { code: "ENOSPC" });
    }
    await assert.rejects(writeSnapshot(path, failing()), /ENOSPC/);
    assert.equal(readSnapshot(path)?.leases.length, 1);
    assert.deepEqual(
      readdirSync(folder).filter((name) => name.endsWith(".tmp")),
      [],
    );
  });
});

describe("a process that is killed while it writes snapshots", () => {
  beforeAll(() => {
    execFileSync("node", [".ci/ready.mjs"], { cwd: ROOT });
  });

  it(`leaves a whole one behind, ${LIVES} times out of ${LIVES}`, { timeout: 120_000 }, async () => {
    const revisions = new Set<number>();
    let inTheMiddle = 0;
    const line = async (lane: number): Promise<void> => {
      for (let life = lane; life < LIVES; life += 3) {
        const path = freshPath();
        await killedWhileWriting(path, (life * 0.37) % 12);
        const saved = readSnapshot(path);
        assert.ok(saved, "there was one before it was killed");
        assert.equal(saved.leases.length, 1 + (saved.revision % 400));
        revisions.add(saved.revision);
        if (readdirSync(folder).includes(`${path.slice(folder.length + 1)}.tmp`)) inTheMiddle++;
      }
    };
    await Promise.all([line(0), line(1), line(2)]);
    assert.ok(revisions.size > 3, "killed at different moments");
    assert.ok(inTheMiddle > 10, `killed while it wrote: ${inTheMiddle} times`);
  });
});

async function killedWhileWriting(path: string, afterMs: number): Promise<void> {
  const script = fileURLToPath(new URL("./snapshot-process.mjs", import.meta.url));
  const child = fork(script, [path], { execArgv: [] });
  const ended = once(child, "exit");
  await Promise.race([once(child, "message"), ended]);
  await new Promise((resolve) => setTimeout(resolve, afterMs)); // the moment is the point here
  child.kill("SIGKILL");
  assert.equal((await ended)[1], "SIGKILL");
}

function isUnusable(error: unknown): boolean {
  return DiscoveryError.is(error, "PROTOCOL");
}

function text(revision: number, leases: readonly HeldInstance[]): string {
  return [...encoded(revision, leases)].join("");
}

async function written(): Promise<string> {
  const path = freshPath();
  await writeSnapshot(path, encoded(1, [lease(1)]));
  return path;
}

function lease(
  port: number,
  {
    health,
    holder,
    edition,
    ...fields
  }: Partial<Parameters<typeof defineInstance>[0]> & Pick<Life, "health" | "holder" | "edition"> = {},
): HeldInstance {
  const instance = defineInstance({ service: "orders", host: "10.0.0.1", port, ...fields });
  const told = { health, holder, edition };
  return new HeldInstance(instance, { ...told, ttlMs: 30_000, incarnation: 5, registeredAt: 1_700_000_000_000 });
}
