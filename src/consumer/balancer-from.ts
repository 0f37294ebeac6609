import { type Balancer, isBalancer } from "../balancer/balancer.js";
import { type BalancerName, balancerNamed } from "../balancer/by-name.js";
import { invalid } from "../model/fields.js";

/** A balancer, or the name of one that the library has. @throws {DiscoveryError} `INVALID_OPTION`, naming `path` */
export function balancerFrom(path: string, given: Balancer | BalancerName): Balancer {
  if (typeof given === "string") return balancerNamed(given, path);
  if (isBalancer(given)) return given;
  throw invalid(path, given, 'a balancer such as roundRobin(), or its name: "round-robin"');
}
