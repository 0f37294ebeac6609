import { carrierOf } from "./carrier.mjs";
import { corrupt, cutPower, wipe } from "./disk.mjs";
import { lied } from "./lies.mjs";
import { Process } from "./process.mjs";

export const REGISTRY = "r";
/** How long a registry says that it warms up, in milliseconds: the library's default. */
export const WARMING_MS = 30_000;

/** A registry as a process sees it: the real adapter over the simulated network. */
function registryFor(world, process) {
  const { httpOver, httpClient } = world.library;
  const client = httpClient({ name: "registry", origin: "http://r" }, carrierOf(world.network, process, REGISTRY));
  return httpOver(() => client, "registry", undefined);
}

/** The registry's host: one process after the other, each with the real server on the real memory. */
export class RegistryNode {
  process;
  memory;
  bootedAt = 0;
  /** How it deceives its readers, if it does: one of `LIES`. */
  lie;
  #world;
  #lives = 0;
  #listener;

  constructor(world) {
    this.#world = world;
  }

  get isUp() {
    return this.process.isRunning && this.#world.network.at(REGISTRY) === this.#listener;
  }

  /** Starts with an empty memory, or with what is on its disk. */
  boot(fromDisk = false) {
    const { library, scheduler, network, checks } = this.#world;
    this.process = new Process(scheduler, REGISTRY, library.sleepOn, this.#world.rateOf(REGISTRY));
    const { clock } = this.process;
    const random = this.#world.dice(`${REGISTRY}/${++this.#lives}`).fraction;
    if (!fromDisk) wipe(this.#folder);
    const snapshot = this.#world.hasDisk ? { path: this.path } : undefined;
    this.memory = library.memoryRegistry({ clock, random, epoch: `e${this.#lives}`, snapshot });
    this.memory.on("snapshotFailed", ({ during }) => network.note(`r cannot ${during} its snapshot`));
    this.bootedAt = scheduler.now;
    checks.booted(this, fromDisk);
    this.#serve();
    if (this.#lives === 1) network.count("boot");
    else network.count(fromDisk ? "registry from disk" : "registry empty");
  }

  get #folder() {
    return `/${this.#world.seed}/${REGISTRY}/`;
  }

  /** Where it keeps its leases, in worlds that have a disk. */
  get path() {
    return `${this.#folder}leases`;
  }

  /** Loses its power: a crash, and what was not flushed is torn. */
  losesPower(share) {
    this.crash("swallows");
    cutPower(this.#folder, share);
  }

  /** Ends; its host refuses, or swallows what comes. */
  crash(answer) {
    this.process.kill();
    this.#drop(answer);
  }

  /** As a crash, but what it knows is kept: its memory stands still until it is back. */
  crashKeeping(answer) {
    this.process.pause();
    this.#drop(answer);
  }

  /** Back with what it knew. */
  bootKept() {
    this.#serve();
    this.process.resume();
    this.#world.network.count("registry kept");
  }

  #serve() {
    const { library, network } = this.#world;
    const { process, memory } = this;
    const server = library.createRegistryServer({ registry: memory, clock: process.clock });
    const handle = (request, response) => {
      if (!this.lie || !lied(this.lie, this.#truth(), request, response)) server.handle(request, response);
    };
    this.#listener = { process, memory, handle, connections: new Set() };
    network.listen(REGISTRY, this.#listener);
  }

  #truth() {
    const { epoch, revision } = this.memory;
    const { checks, library } = this.#world;
    const of = (service) => [...checks.registry.listed.values()].filter(({ instance }) => instance.service === service);
    return { epoch, revision, view: (service) => of(service).map(({ instance }) => library.toWire(instance)) };
  }

  /** From now on it answers readers with that kind of lie, or with the truth again; every stream is cut. */
  lies(kind) {
    this.lie = kind;
    for (const exchange of [...this.#listener.connections]) exchange.reset("ECONNRESET");
    if (kind) this.#world.network.count(`lie: ${kind}`);
  }

  #drop(answer) {
    this.lie = undefined;
    this.#world.network.listen(REGISTRY, answer);
    for (const exchange of [...this.#listener.connections]) {
      if (answer === "refuses") exchange.reset("ECONNRESET");
      else exchange.response?.closed();
    }
    this.#listener.connections.clear();
  }
}

/** A provider's place: the same address for one life after the other. */
export class ProviderNode {
  /** The present life, if any: `{ process, agent, stopped, id }`. */
  life;
  lives = 0;
  isMachineUp = true;
  #world;

  constructor(world, index, service, ttlMs) {
    this.#world = world;
    this.host = `p${index}`;
    this.address = `10.0.${index >> 8}.${index & 255}`;
    this.service = service;
    this.ttlMs = ttlMs;
  }

  get id() {
    return `${this.service}@${this.address}:8080`;
  }

  get isUp() {
    return this.life?.process.isRunning === true && !this.life.stopped;
  }

  /** Begins a life, unless one holds the port. */
  start() {
    if (this.life?.process.isAlive) return;
    this.isMachineUp = true;
    const { library, scheduler } = this.#world;
    const process = new Process(scheduler, this.host, library.sleepOn, this.#world.rateOf(this.host));
    const dice = this.#world.dice(`${this.host}/${++this.lives}`);
    const agent = library.createAgent({
      service: this.service,
      host: this.address,
      port: 8080,
      ttlMs: this.ttlMs,
      metadata: { life: String(this.lives) },
      registry: registryFor(this.#world, process),
      clock: process.clock,
      random: dice.fraction,
    });
    for (const event of ["registered", "registerFailed", "beatMissed", "lost", "conflict"]) {
      agent.on(event, (told) => this.#world.note(`${this.host} ${event} ${told.cause?.message ?? ""}`));
    }
    const life = { process, agent, stopped: false, heardBy: undefined, hasLeft: false, id: this.id, host: this.host };
    process.owner = life;
    this.life = life;
    this.#world.note(`${this.host} starts, life ${this.lives}`);
    agent.start({ signal: this.#world.over }).catch((error) => {
      if (!life.stopped) this.#world.refused(this.host, error);
    });
  }

  /** Leaves as one should; its process ends when that is over. */
  stop() {
    const { life } = this;
    if (!life?.process.isAlive) return;
    life.stopped = true;
    this.#world.note(`${this.host} stops`);
    this.life = undefined;
    void life.agent.stop().then(() => life.process.kill());
  }

  /** @param withMachine whether nobody even refuses connections then */
  kill(withMachine = false) {
    this.isMachineUp = !withMachine;
    this.#world.note(`${this.host} is killed${withMachine ? ", its machine too" : ""}`);
    this.life?.process.kill();
    this.life = undefined;
    this.#world.network.count("provider crash");
  }

  pause(isDeaf) {
    this.#world.note(`${this.host} is paused${isDeaf ? ", its machine too" : ""}`);
    this.life?.process.pause(isDeaf);
    this.#world.network.count("provider pause");
  }

  resume() {
    this.#world.note(`${this.host} goes on`);
    this.life?.process.resume();
  }
}

/** A consumer: picks now and then, from each service. */
export class ConsumerNode {
  process;
  /** Each of its services, as a view that holds it against the truth. */
  views = [];
  #world;
  #lives = 0;

  constructor(world, index) {
    this.#world = world;
    this.host = `c${index}`;
  }

  /** Where it keeps its lists, in worlds that have such folders. */
  get #folder() {
    return `/${this.#world.seed}/${this.host}/`;
  }

  /** Ends without a word; what it had not flushed may be torn. */
  losesPower(share) {
    this.#world.note(`${this.host} loses power`);
    this.process.kill();
    cutPower(this.#folder, share);
  }

  /** A byte of each of its lists changes. False if there are none. */
  spoils(share) {
    return corrupt(this.#folder, share);
  }

  /** @param laterMs by how much its machine's wall clock has gone ahead meanwhile */
  start(laterMs = 0) {
    const { library, scheduler, checks, serviceNames, refreshMs, hasShelves } = this.#world;
    const wallOffMs = (this.process?.wallOffMs ?? 0) + laterMs;
    this.process?.kill();
    const process = new Process(scheduler, this.host, library.sleepOn, this.#world.rateOf(this.host));
    const dice = this.#world.dice(`${this.host}/${++this.#lives}`);
    process.wallOffMs = wallOffMs;
    this.process = process;
    const resolver = library.createResolver({
      registry: registryFor(this.#world, process),
      clock: process.clock,
      random: dice.fraction,
      refreshMs,
      probe: async ({ host }) => this.#world.network.knock(this.host, host),
      ...(hasShelves ? { snapshotDir: this.#folder } : {}),
    });
    this.views = serviceNames.map((name) => checks.consumes(this, resolver.service(name)));
    this.#pickSoon(process, dice);
    this.#world.note(`${this.host} starts`);
  }

  #pickSoon(process, dice) {
    if (!process.isAlive) return;
    const run = () => {
      for (const each of this.views) this.#world.checks.picks(each);
      this.#pickSoon(process, dice);
    };
    this.#world.scheduler.after(dice.between(100, 4_000), () =>
      process.run({ run, cancelled: false, isTimer: true, due: Number.POSITIVE_INFINITY }),
    );
  }
}
