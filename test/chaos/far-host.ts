import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import type { Prefix } from "./stage.js";

const NAME = "mcpd";
/** Verdicts of the kernel's traffic control (`linux/pkt_cls.h`). */
const PASS = 0;
const DROP = 2;
/** Where the kernel's packet filter keeps a random number of 32 bits (`linux/filter.h`, SKF_AD_RANDOM). */
const RANDOM_AT = 0xffff_f000 + 56;
/** Where a TCP packet over IPv4 without options keeps its destination port: 14 bytes of Ethernet, 20 of IP, 2 of TCP. */
const PORT_AT = 36;

/** Why there can be no other host on this machine; undefined where there can. Only root makes network namespaces. */
export function whyNoFarHost(): string | undefined {
  return process.getuid?.() === 0 && process.platform === "linux" ? undefined : "network namespaces need root on Linux";
}

/**
 * Another host on this machine: a network namespace behind a link of its own. What arrives at either end of the link
 * can be dropped by a filter in the kernel, so that neither side sees a connection end.
 */
export class FarHost {
  readonly #name: string;
  /** The near end of the link, where everybody else is. */
  readonly nearAddress: string;
  readonly farAddress: string;
  /** Runs a command there. */
  readonly prefix: Prefix;

  constructor() {
    removeAbandoned();
    const { pid } = process;
    this.#name = `${NAME}-${pid}`;
    const subnet = `10.${200 + ((pid >> 8) % 50)}.${pid & 255}`; // two runs at once must not meet
    this.nearAddress = `${subnet}.1`;
    this.farAddress = `${subnet}.2`;
    this.prefix = ["ip", "netns", "exec", this.#name];
    remove(this.#name);
    ip("netns", "add", this.#name);
    ip("link", "add", this.#near, "type", "veth", "peer", "name", "far", "netns", this.#name);
    ip("addr", "add", `${this.nearAddress}/30`, "dev", this.#near);
    ip("link", "set", this.#near, "up");
    ip("-n", this.#name, "addr", "add", `${this.farAddress}/30`, "dev", "far");
    ip("-n", this.#name, "link", "set", "far", "up");
    ip("-n", this.#name, "link", "set", "lo", "up");
    tc("qdisc", "add", "dev", this.#near, "clsact");
    tc("-n", this.#name, "qdisc", "add", "dev", "far", "clsact");
  }

  /** Nothing arrives any more, from neither side. */
  cut(): void {
    this.#filter("near", [[6, 0, 0, DROP]]);
    this.#filter("far", [[6, 0, 0, DROP]]);
  }

  /** What is sent to a port over there does not arrive; everything else does, its own beats too. */
  cutTo(port: number): void {
    this.#filter("far", [
      [0x28, 0, 0, PORT_AT], // load the half word there
      [0x15, 0, 1, port], // if it is this port, go on; else skip one
      [6, 0, 0, DROP],
      [6, 0, 0, PASS],
    ]);
  }

  /** Loses a share, 0 to 1, of all packets in each direction. */
  lose(share: number): void {
    const program: Program = [
      [0x20, 0, 0, RANDOM_AT], // load a random word
      [0x25, 1, 0, Math.floor(share * 2 ** 32)], // if it is greater, skip one
      [6, 0, 0, DROP],
      [6, 0, 0, PASS],
    ];
    this.#filter("near", program);
    this.#filter("far", program);
  }

  heal(): void {
    tc("filter", "del", "dev", this.#near, "ingress");
    tc("-n", this.#name, "filter", "del", "dev", "far", "ingress");
  }

  /** What runs there must have ended. */
  close(): void {
    remove(this.#name);
  }

  get #near(): string {
    return this.#name; // an interface's name may have 15 characters; a process id has seven at most
  }

  #filter(end: "near" | "far", program: Program): void {
    const [where, device] = end === "near" ? [[], this.#near] : [["-n", this.#name], "far"];
    const bytecode = `${program.length},${program.map((step) => step.join(" ")).join(",")}`;
    tc(...where, "filter", "add", "dev", device, "ingress", "bpf", "direct-action", "bytecode", bytecode);
  }
}

/** Steps of a classic packet filter: operation, jumps if true and if false, operand. */
type Program = readonly (readonly [number, number, number, number])[];

/** Removes what runs that were killed have left behind. */
function removeAbandoned(): void {
  for (const line of ip("netns", "list").split("\n")) {
    const pid = new RegExp(`^${NAME}-(\\d+)`).exec(line)?.[1];
    if (pid && !existsSync(`/proc/${pid}`)) remove(`${NAME}-${pid}`);
  }
}

/** The link goes with either of its ends. */
function remove(name: string): void {
  for (const what of ["link", "netns"]) {
    try {
      ip(what, "del", name);
    } catch {} // it was not there
  }
}

function ip(...args: string[]): string {
  return run("ip", args);
}

function tc(...args: string[]): void {
  run("tc", args);
}

/** Both belong to iproute2. Throws what the command complains of. */
function run(command: string, args: readonly string[]): string {
  return execFileSync(command, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}
