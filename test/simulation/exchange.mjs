/**
 * One connection: a request on its way, the server's end of it, and the answer on its way back, whole or line by line.
 */
export class Exchange {
  #network;
  #out = { isSilent: false, lastAt: 0 };
  #back = { isSilent: false, lastAt: 0 };
  #heldLine;

  /** @param client hears of the answer; undefined for a duplicate, whose answer nobody awaits */
  constructor(network, process, host, request, client) {
    this.#network = network;
    this.process = process;
    this.host = host;
    this.request = request;
    this.client = client;
    this.response = undefined;
  }

  get name() {
    return `${this.request.method} ${this.request.path}`;
  }

  send() {
    const { process, host } = this;
    this.#network.carry(process.host, host, this.#out, () => this.#arrived());
  }

  /** The client gives up, or is dead: the server learns of it if it can. */
  abandon() {
    this.client = undefined;
    this.#network.carry(this.process.host, this.host, this.#out, () => this.#closedByClient());
  }

  /** The server's end sends something; `tell` runs at the client. */
  reply(tell) {
    this.#network.carry(this.host, this.process.host, this.#back, () => {
      this.process.run({ run: () => this.#delivered(tell), cancelled: false, isTimer: false });
      if (!this.process.isAlive) this.#refused();
    });
  }

  /**
   * As `reply`, for one line of a stream. Only a delta says what it follows on, so only deltas are skipped, doubled and
   * swapped: a connection keeps its order, and nobody could tell that a whole list came late.
   */
  replyLine(text) {
    const kind = text.startsWith('{"event":"delta"') ? this.#network.lineFault() : undefined;
    if (kind === "skip") return;
    if (kind === "swap" && this.#heldLine === undefined) {
      this.#heldLine = text;
      return;
    }
    const line = (each) => this.reply((client) => client.data(each));
    line(text);
    if (kind === "double") line(text);
    if (this.#heldLine !== undefined) line(this.#heldLine);
    this.#heldLine = undefined;
  }

  /** The server's host resets the connection, or its process is gone. */
  reset(why) {
    this.reply((client) => client.broken(why));
    this.response?.closed();
  }

  #arrived() {
    const listener = this.#network.at(this.host);
    if (listener === "swallows" || this.#isKnownToHarm()) return;
    if (listener === "refuses") return this.reply((client) => client.broken("ECONNREFUSED"));
    listener.connections.add(this);
    if (this.request.path === "/v1/register" && this.process.owner) this.process.owner.heardBy = listener.memory;
    const run = () => {
      this.#network.note(`${this.process.host}→${this.host} ${this.name}`);
      this.#network.asked(this);
      this.response = new Response(this, listener);
      listener.handle(new Request(this.request), this.response);
    };
    listener.process.run({ run, cancelled: false, isTimer: false });
  }

  /**
   * A known gap: the first that a registry hears of a life may come after that life has ended and the next one has begun
   * on the same address. Nothing tells then which of the two is the newer.
   */
  #isKnownToHarm() {
    const { process } = this;
    return (
      this.request.path === "/v1/register" &&
      !process.isAlive &&
      process.owner?.heardBy !== this.#network.at(this.host).memory
    );
  }

  #delivered(tell) {
    if (!this.client) return this.#refused();
    this.#network.note(`${this.host}→${this.process.host} ${this.name}`);
    tell(this.client);
    this.process.heard++;
  }

  /** Nobody listens at this end any more: the other end's next message is answered by a reset. */
  #refused() {
    this.#network.carry(this.process.host, this.host, { isSilent: false, lastAt: 0 }, () => this.#closedByClient());
  }

  #closedByClient() {
    const { response } = this;
    response?.process.run({ run: () => response.closed(), cancelled: false, isTimer: false });
  }

  answered(status, text) {
    this.#network.answered(this, status, text);
  }
}

/** What the server knows of a request: as much of node's IncomingMessage as it uses. */
class Request {
  socket = { remoteAddress: "10.0.0.1" };
  #body;

  constructor({ method, path, headers, body }) {
    this.method = method;
    this.url = path;
    this.headers = headers;
    this.#body = body;
  }

  on(event, listener) {
    if (event === "data" && this.#body) queueMicrotask(() => listener(Buffer.from(this.#body)));
    if (event === "end") queueMicrotask(listener);
    return this;
  }
}

/** Where the server writes its answer: as much of node's ServerResponse as it uses. */
class Response {
  headersSent = false;
  destroyed = false;
  writableEnded = false;
  writableLength = 0;
  writableNeedDrain = false;
  #exchange;
  #listener;
  #status = 200;
  #headers = {};
  /** What was written of an answer that told its length, and goes out whole. */
  #text = "";
  #onClose = new Set();

  constructor(exchange, listener) {
    this.#exchange = exchange;
    this.#listener = listener;
    this.process = listener.process;
  }

  writeHead(status, headers = {}) {
    this.#status = status;
    this.#headers = headers;
    return this;
  }

  write(bytes) {
    if (this.destroyed) return false;
    if (this.#headers["content-length"] !== undefined) {
      this.#text += String(bytes);
      return true;
    }
    this.#sendHead();
    this.#exchange.replyLine(String(bytes));
    return true;
  }

  end(bytes) {
    if (this.destroyed) return this;
    const [status, headers, text] = [this.#status, this.#headers, this.#text + String(bytes ?? "")];
    this.writableEnded = true;
    this.#exchange.answered(status, text);
    if (this.headersSent) this.#exchange.reply((client) => client.end());
    else this.#exchange.reply((client) => client.whole(status, headers, text));
    this.headersSent = true;
    queueMicrotask(() => this.closed());
    return this;
  }

  cork() {}

  uncork() {}

  destroy() {
    if (this.destroyed) return;
    this.#exchange.reset("ECONNRESET");
  }

  /** The connection is over, from whichever end. */
  closed() {
    this.#listener.connections.delete(this.#exchange);
    if (this.destroyed) return;
    this.destroyed = true;
    for (const listener of [...this.#onClose]) listener();
    this.#onClose.clear();
  }

  on(event, listener) {
    if (event === "close") this.#onClose.add(listener);
    return this;
  }

  once(event, listener) {
    return this.on(event, listener);
  }

  off(event, listener) {
    if (event === "close") this.#onClose.delete(listener);
    return this;
  }

  #sendHead() {
    if (this.headersSent) return;
    this.headersSent = true;
    const [status, headers] = [this.#status, this.#headers];
    this.#exchange.reply((client) => client.begun(status, headers));
  }
}
