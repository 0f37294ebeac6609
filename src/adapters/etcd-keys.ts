import { invalid } from "../model/fields.js";

/** One life of an instance: its key holds its service, its id, and a word that no other life has. */
export interface Life {
  readonly service: string;
  readonly id: string;
  readonly life: string;
}

/** A span of keys, in base64 as the gateway wants them. */
export interface Range {
  readonly key: string;
  readonly range_end: string;
}

/**
 * Where things are:
 *
 * - `{prefix}services/{service}/instances/{id}/{life}`: an instance, under its lease
 * - `{prefix}services/{service}/left`: the id of whoever deregistered last
 * - `{prefix}names/{service}`: that somebody registered under this name, ever
 * - `{prefix}epoch`, `{prefix}secret`: random words, made by whoever comes first
 */
export class EtcdKeys {
  readonly epoch: string;
  readonly secret: string;
  readonly names: Range;
  readonly #prefix: string;

  /** @throws {DiscoveryError} `INVALID_OPTION` */
  constructor(prefix: unknown) {
    if (typeof prefix !== "string" || prefix.length > 256 || !prefix.endsWith("/")) {
      throw invalid("etcd.prefix", prefix, "a text of at most 256 characters that ends in /");
    }
    this.#prefix = prefix;
    this.epoch = base64(`${prefix}epoch`);
    this.secret = base64(`${prefix}secret`);
    this.names = rangeOf(`${prefix}names/`);
  }

  name(service: string): string {
    return base64(`${this.#prefix}names/${service}`);
  }

  left(service: string): string {
    return base64(`${this.#of(service)}left`);
  }

  /** All there is of a service. */
  service(service: string): Range {
    return rangeOf(this.#of(service));
  }

  /** All lives of one id: there is one, or none. */
  lives(service: string, id: string): Range {
    return rangeOf(`${this.#of(service)}instances/${escaped(id)}/`);
  }

  life({ service, id, life }: Life): string {
    return base64(`${this.#of(service)}instances/${escaped(id)}/${life}`);
  }

  /** What a key of that service tells; undefined if it is no instance's. */
  lifeIn(service: string, key: string): Life | undefined {
    const text = Buffer.from(key, "base64").toString("utf8");
    const before = `${this.#of(service)}instances/`;
    const end = text.lastIndexOf("/");
    if (!text.startsWith(before) || end < before.length) return undefined;
    return { service, id: unescaped(text.slice(before.length, end)), life: text.slice(end + 1) };
  }

  nameIn(key: string): string {
    return Buffer.from(key, "base64").toString("utf8").slice(`${this.#prefix}names/`.length);
  }

  #of(service: string): string {
    return `${this.#prefix}services/${service}/`;
  }
}

/** Text as the gateway wants it. */
export function base64(text: string): string {
  return Buffer.from(text, "utf8").toString("base64");
}

/** All keys that begin with a text: up to the next one that does not. */
function rangeOf(prefix: string): Range {
  const end = Buffer.from(prefix, "utf8");
  end[end.length - 1] = (end.at(-1) as number) + 1; // the last is a slash, so nothing is carried
  return { key: base64(prefix), range_end: end.toString("base64") };
}

/** The key right after one, to read on from there. */
export function after(key: string): string {
  return Buffer.concat([Buffer.from(key, "base64"), Buffer.of(0)]).toString("base64");
}

function escaped(id: string): string {
  return id.replace(/[%/]/g, encodeURIComponent);
}

function unescaped(text: string): string {
  return text.replaceAll("%2F", "/").replaceAll("%25", "%");
}
