// What is measured of a contestant, by the clock of the one process in which it asks, registers and hears. Each answer is
// a list of milliseconds.
import { setTimeout as pass } from "node:timers/promises";

const ANSWER_MS = 120_000;

/** A new client's first question, from its making to the list; the registry and this code are warm. */
async function cold({ consumer }, { service, instances, times }) {
  const took = [];
  for (let index = 0; index < times; index++) {
    const began = performance.now();
    const client = await consumer();
    const ports = await client.ask(service);
    took.push(performance.now() - began);
    if (ports.length !== instances) throw new Error(`${ports.length} of ${instances} instances in a first answer`);
    await client.close();
    await pass(20);
  }
  return took;
}

/** The same question again, as the library answers it: from memory, or by asking once more. */
async function warm({ consumer }, { service, instances, times }) {
  const client = await consumer();
  await client.ask(service);
  const took = [];
  for (let index = 0; index < times; index++) {
    const began = performance.now();
    const answer = client.again(service);
    const ports = answer instanceof Promise ? await answer : answer;
    took.push(performance.now() - began);
    if (ports.length !== instances) throw new Error(`${ports.length} of ${instances} instances in a later answer`);
  }
  await client.close();
  return took;
}

/** From the call that registers to the consumer's news of it, one after the other. */
async function notified(contestant, { service, times, apartMs }) {
  const { hears, register, close } = await subscribed(contestant, service);
  const took = [];
  for (let port = 2; port < times + 2; port++) {
    const began = performance.now();
    const news = hears(port);
    await register(port);
    took.push((await news) - began);
    await pass(apartMs);
  }
  await close();
  return took;
}

/**
 * The same where news takes seconds: all at once, each with a consumer of its own, which begin and are told at moments
 * spread over `spreadMs`.
 */
function notifiedSlowly(contestant, { service, times, spreadMs }) {
  const one = async (index) => {
    await pass((spreadMs * index) / times);
    const { hears, register, close } = await subscribed(contestant, `${service}-${index}`);
    await pass(1_000 + (spreadMs * ((index * 7) % times)) / times);
    const began = performance.now();
    const news = hears(2);
    await register(2);
    const took = (await news) - began;
    await close();
    return took;
  };
  return Promise.all(Array.from({ length: times }, (_, index) => one(index)));
}

async function subscribed({ consumer, provider }, service) {
  const [client, own] = [await consumer(), await provider()];
  const leave = [];
  const register = async (port) => leave.push(await own.register(service, port));
  let known = [];
  let listener = () => {};
  await register(1);
  await client.subscribe(service, (ports) => {
    known = ports;
    listener();
  });
  const hears = (port) =>
    within(`news of ${service} ${port}`, (resolve) => {
      listener = () => known.includes(port) && resolve(performance.now());
      listener();
    });
  await hears(1);
  const close = async () => {
    await client.close();
    await Promise.all(leave.map((each) => each()));
    await own.close();
  };
  return { hears, register, close };
}

/** So many registrations at a time: what each took, how many a second, and this process's CPU µs for one. */
async function registered({ provider }, { service, times, inFlight }) {
  const own = await provider();
  const [took, leave] = [[], []];
  let next = 1;
  const lane = async (until) => {
    while (next < until) {
      const began = performance.now();
      leave.push(await own.register(service, next++));
      took.push(performance.now() - began);
    }
  };
  const before = process.cpuUsage();
  const began = performance.now();
  await Promise.all(Array.from({ length: inFlight }, () => lane(times + 1)));
  const seconds = (performance.now() - began) / 1_000;
  const { user, system } = process.cpuUsage(before);
  for (let index = 0; index < leave.length; index += inFlight) {
    await Promise.all(leave.slice(index, index + inFlight).map((each) => each()));
  }
  await own.close();
  return { took, perSecond: times / seconds, cpu: (user + system) / times };
}

/** So many instances, registered and kept alive until the process ends. */
async function provided({ provider }, { service, instances }) {
  const own = await provider();
  for (let port = 1; port <= instances; port++) await own.register(service, port);
}

/** Until a consumer sees all of them: Eureka takes up to half a minute. */
async function listed({ consumer }, { service, instances }) {
  for (let left = ANSWER_MS / 500; left > 0; left--) {
    const client = await consumer();
    const { length } = await client.ask(service);
    await client.close();
    if (length === instances) return;
    await pass(500);
  }
  throw new Error(`${service} was not listed in ${ANSWER_MS / 1_000} s`);
}

function within(what, run) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no ${what} in ${ANSWER_MS / 1_000} s`)), ANSWER_MS);
    run((value) => {
      clearTimeout(timer);
      resolve(value);
    });
  });
}

/** By the names by which a contestant's process is asked for them. */
export const MEASURES = { provided, listed, cold, warm, notified, notifiedSlowly, registered };
