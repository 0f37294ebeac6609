import { DiscoveryError } from "../model/errors.js";

/** The numbers Nacos' own definition gives the fields that are read or written here. */
const PAYLOAD = { metadata: 2, body: 3 } as const;
const METADATA = { type: 3, headers: 7, clientIp: 8 } as const;
const ENTRY = { key: 1, value: 2 } as const;
const ANY = { value: 2 } as const;

/** How protobuf says what follows a field's number. */
const WIRE = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;
const WIRE_BITS = 3;
/** A varint holds seven bits a byte; field numbers and lengths fit into 32 bits. */
const VARINT = { more: 0x80, mostBytes: 10, base: 128 } as const;

export type Fields = Readonly<Record<string, unknown>>;

/** What goes over Nacos' gRPC, whatever the method: the name of a request or an answer, and its JSON. */
export interface Payload {
  readonly type: string;
  readonly body: Fields;
}

/** What a client says beside a request. */
export interface Envelope {
  /** Who counts as asking: Nacos limits the connections of an address, and shows it to operators. */
  readonly clientIp: string;
  readonly token: string | undefined;
  readonly signature?: Readonly<Record<string, string>> | undefined;
}

/** A payload as bytes, by hand: five fields are no reason to bring a compiler along. */
export function encodePayload({ type, body }: Payload, { clientIp, token, signature }: Envelope): Buffer {
  const metadata = [field(METADATA.type, Buffer.from(type)), field(METADATA.clientIp, Buffer.from(clientIp))];
  const headers = Object.entries({ ...signature, ...(token === undefined ? {} : { accessToken: token }) });
  for (const [key, value] of headers) metadata.push(field(METADATA.headers, entry(key, value)));
  const json = field(ANY.value, Buffer.from(JSON.stringify(body)));
  return Buffer.concat([field(PAYLOAD.metadata, Buffer.concat(metadata)), field(PAYLOAD.body, json)]);
}

/** @throws {DiscoveryError} `PROTOCOL` if these bytes are no payload */
export function decodePayload(bytes: Uint8Array): Payload {
  const payload = fieldsIn(bytes);
  const type = String(fieldsIn(payload.get(PAYLOAD.metadata)).get(METADATA.type) ?? "");
  const json = fieldsIn(payload.get(PAYLOAD.body)).get(ANY.value);
  if (type === "") throw unreadable("a payload without a type");
  const body = json === undefined ? {} : parsed(String(json));
  if (typeof body !== "object" || body === null || Array.isArray(body)) throw unreadable(`no object in ${type}`);
  return { type, body: body as Fields };
}

function entry(key: string, value: string): Buffer {
  return Buffer.concat([field(ENTRY.key, Buffer.from(key)), field(ENTRY.value, Buffer.from(value))]);
}

function field(number: number, content: Buffer): Buffer {
  return Buffer.concat([varint((number << WIRE_BITS) | WIRE.bytes), varint(content.length), content]);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= VARINT.base; rest = Math.floor(rest / VARINT.base)) bytes.push((rest % VARINT.base) | VARINT.more);
  return Buffer.from([...bytes, rest]);
}

/** The fields of a message that hold bytes, the last of each number; the others are passed over. */
function fieldsIn(message: Uint8Array = new Uint8Array()): ReadonlyMap<number, Buffer> {
  const bytes = Buffer.from(message.buffer, message.byteOffset, message.byteLength);
  const fields = new Map<number, Buffer>();
  const reader = new WireReader(bytes);
  while (reader.hasMore) {
    const tag = reader.varint();
    const number = Math.floor(tag / 2 ** WIRE_BITS);
    switch (tag % 2 ** WIRE_BITS) {
      case WIRE.varint:
        reader.varint();
        break;
      case WIRE.fixed64:
        reader.take(8);
        break;
      case WIRE.bytes:
        fields.set(number, reader.take(reader.varint()));
        break;
      case WIRE.fixed32:
        reader.take(4);
        break;
      default:
        throw unreadable("a field of no known kind");
    }
  }
  return fields;
}

class WireReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get hasMore(): boolean {
    return this.#at < this.#bytes.length;
  }

  varint(): number {
    let value = 0;
    for (let index = 0; index < VARINT.mostBytes; index++) {
      const byte = this.take(1)[0] as number;
      value += (byte % VARINT.base) * VARINT.base ** index;
      if (byte < VARINT.more) return value;
    }
    throw unreadable("a number without end");
  }

  take(count: number): Buffer {
    const end = this.#at + count;
    if (end > this.#bytes.length) throw unreadable("a message cut short");
    const taken = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return taken;
  }
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch (cause) {
    throw unreadable("something that is no JSON", cause);
  }
}

function unreadable(what: string, cause?: unknown): DiscoveryError {
  return new DiscoveryError("PROTOCOL", `Nacos sent ${what} over gRPC`, { cause });
}
