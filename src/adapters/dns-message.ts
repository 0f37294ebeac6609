import { DiscoveryError } from "../model/errors.js";

/** What may be asked (RFC 1035, 2782, 3596). */
export const TYPES = { A: 1, SOA: 6, AAAA: 28, SRV: 33, OPT: 41 } as const;
const CLASS_IN = 1;
/** How large an answer over UDP may be, in bytes: without saying so, some servers leave records out unmarked. */
const UDP_BYTES = 4_096;
const MAX_NAME = 255;
const MAX_LABEL = 63;

/** One record of an answer. Names are lower case, without the last dot. */
export interface DnsRecord {
  readonly name: string;
  readonly type: number;
  /** In seconds. */
  readonly ttl: number;
  /** The address of an A or AAAA record. */
  readonly address?: string;
  readonly srv?: { readonly priority: number; readonly weight: number; readonly port: number; readonly target: string };
  /** How long a name's absence may be remembered, of an SOA record, in seconds. */
  readonly absentFor?: number;
}

/** An answer. */
export interface DnsAnswer {
  readonly id: number;
  /** RFC 1035's RCODE: 0 no error, 2 server failure, 3 no such name, 5 refused. */
  readonly code: number;
  /** Not all fitted in: ask over TCP. */
  readonly truncated: boolean;
  readonly answers: readonly DnsRecord[];
  readonly authorities: readonly DnsRecord[];
  readonly additionals: readonly DnsRecord[];
}

/** A question, with the offer to take large answers (EDNS, RFC 6891). @throws {DiscoveryError} `INVALID_OPTION` */
export function encodeQuestion(id: number, name: string, type: number): Buffer {
  const labels = name.replace(/\.$/, "").split(".");
  const parts = labels.map((label) => {
    const bytes = Buffer.from(label, "latin1");
    if (bytes.length === 0 || bytes.length > MAX_LABEL || name.length > MAX_NAME) {
      throw new DiscoveryError("INVALID_OPTION", `${JSON.stringify(name)} is no name that DNS can ask for`);
    }
    return Buffer.concat([Buffer.from([bytes.length]), bytes]);
  });
  const header = Buffer.alloc(12);
  header.writeUInt16BE(id, 0);
  header.writeUInt16BE(0x0100, 2); // recursion desired
  header.writeUInt16BE(1, 4); // one question
  header.writeUInt16BE(1, 10); // one additional record: EDNS
  const tail = Buffer.alloc(16); // end of name, type, class, then OPT: root name, type, size, ttl, length
  tail.writeUInt16BE(type, 1);
  tail.writeUInt16BE(CLASS_IN, 3);
  tail.writeUInt16BE(TYPES.OPT, 6);
  tail.writeUInt16BE(UDP_BYTES, 8);
  return Buffer.concat([header, ...parts, tail]);
}

/** Reads an answer. @throws {DiscoveryError} `PROTOCOL` if it is none */
export function decodeAnswer(message: Buffer): DnsAnswer {
  try {
    const flags = message.readUInt16BE(2);
    const counts = [4, 6, 8, 10].map((offset) => message.readUInt16BE(offset));
    const [questions = 0, answers = 0, authorities = 0, additionals = 0] = counts;
    let at = 12;
    for (let index = 0; index < questions; index++) at = nameAt(message, at).end + 4;
    const section = (count: number): DnsRecord[] => {
      const records: DnsRecord[] = [];
      for (let index = 0; index < count; index++) {
        const { record, end } = recordAt(message, at);
        records.push(record);
        at = end;
      }
      return records;
    };
    return {
      id: message.readUInt16BE(0),
      code: flags & 0xf,
      truncated: (flags & 0x0200) !== 0,
      answers: section(answers),
      authorities: section(authorities),
      additionals: section(additionals),
    };
  } catch (cause) {
    throw new DiscoveryError("PROTOCOL", "The answer is no DNS message", { cause });
  }
}

function recordAt(message: Buffer, from: number): { record: DnsRecord; end: number } {
  const { name, end: at } = nameAt(message, from);
  const type = message.readUInt16BE(at);
  const seconds = message.readUInt32BE(at + 4);
  const ttl = seconds > 0x7fffffff ? 0 : seconds; // RFC 2181: a negative one is none
  const data = at + 10;
  const end = data + message.readUInt16BE(at + 8);
  if (end > message.length) throw new RangeError("A record beyond the end");
  return { record: { name, type, ttl, ...dataAt(message, type, data, end) }, end };
}

function dataAt(message: Buffer, type: number, at: number, end: number): Partial<DnsRecord> {
  switch (type) {
    case TYPES.A:
      return { address: [...message.subarray(at, at + 4)].join(".") };
    case TYPES.AAAA: {
      const groups = Array.from({ length: 8 }, (_, index) => message.readUInt16BE(at + 2 * index).toString(16));
      return { address: groups.join(":") };
    }
    case TYPES.SRV: {
      const [priority = 0, weight = 0, port = 0] = [0, 2, 4].map((offset) => message.readUInt16BE(at + offset));
      return { srv: { priority, weight, port, target: nameAt(message, at + 6).name } };
    }
    case TYPES.SOA:
      return { absentFor: message.readUInt32BE(end - 4) };
    default:
      return {};
  }
}

/** A name, which may go on elsewhere in the message, but only further ahead of where it points from. */
function nameAt(message: Buffer, from: number): { name: string; end: number } {
  const labels: string[] = [];
  let at = from;
  let end = -1;
  let limit = from;
  for (;;) {
    const length = message.readUInt8(at);
    if (length >= 0xc0) {
      if (end < 0) end = at + 2;
      at = message.readUInt16BE(at) & 0x3fff;
      if (at >= limit) throw new RangeError("A name that points to itself");
      limit = at;
    } else if (length === 0) {
      return { name: labels.join(".").toLowerCase(), end: end < 0 ? at + 1 : end };
    } else if (at + 1 + length > message.length) throw new RangeError("A name beyond the end");
    else {
      labels.push(message.toString("latin1", at + 1, at + 1 + length));
      at += 1 + length;
    }
  }
}
