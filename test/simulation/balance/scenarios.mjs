/** What holds where a scenario says nothing else. Latencies are log-normal; calls arrive at random (Poisson). */
export const USUAL = {
  servers: 10,
  clients: 10,
  /** Requests a server works on at once; the others queue. Without limit, nobody queues. */
  workers: 4,
  meanMs: 20,
  /** Spread of the logarithm of the latency. */
  sigma: 0.5,
  perSecond: 1_000,
  seconds: 60,
  timeoutMs: 5_000,
  isEjecting: false,
  /** Puts trouble on the stage. */
  stage() {},
};

const unlimited = { workers: Number.POSITIVE_INFINITY };
const first = (servers, count) => servers.slice(0, count);

/** Names as in the research behind them, so that figures can be compared. */
export const SCENARIOS = {
  E1: { what: "all alike, at 80 % of what they can carry", perSecond: 1_600 },
  E2: {
    what: "eleven that take 167 ms, one of them 2 s for half a minute",
    ...unlimited,
    servers: 11,
    meanMs: 167,
    sigma: 0.03,
    seconds: 70,
    stage({ events, servers }) {
      events.at(20_000, () => {
        servers[0].slowness = 2_000 / 167;
      });
      events.at(50_000, () => {
        servers[0].slowness = 1;
      });
    },
  },
  E3: { what: "one of ten takes ten times as long", ...unlimited, stage: ({ servers }) => slow(first(servers, 1), 10) },
  E3b: {
    what: "one of three takes ten times as long; one client",
    ...unlimited,
    servers: 3,
    clients: 1,
    perSecond: 300,
    stage: ({ servers }) => slow(first(servers, 1), 10),
  },
  E4: {
    what: "half of ten are half as fast, at 70 %",
    perSecond: 1_050,
    stage: ({ servers }) => slow(first(servers, 5), 2),
  },
  E5: {
    what: "each is now and then four times slower, a quarter of the time",
    perSecond: 1_200,
    stage: ({ events, servers, chance }) => {
      for (const server of servers) slowNowAndThen(server, events, chance);
    },
  },
  E6: {
    what: "one of ten fails at once",
    stage({ servers }) {
      servers[0].mode = "failing";
    },
  },
  "E6 ejecting": {
    what: "the same, and those who fail are ejected",
    isEjecting: true,
    stage({ servers }) {
      servers[0].mode = "failing";
    },
  },
  E7: {
    what: "one of ten never answers",
    timeoutMs: 1_000,
    stage({ servers }) {
      servers[0].mode = "hanging";
    },
  },
  E8: {
    what: "two, both fail one call in fifty",
    servers: 2,
    perSecond: 240,
    stage({ servers }) {
      for (const server of servers) server.failureShare = 0.02;
    },
  },
  E9: {
    what: "a tenth joins, ten times slower until it has served 300",
    perSecond: 1_400,
    seconds: 100,
    joinsAt: 20_000,
    stage({ servers }) {
      servers[9].cold = { slowness: 10, requests: 300 };
    },
  },
  E10: {
    what: "one of ten takes ten times as long; one call a second from each client",
    ...unlimited,
    perSecond: 10,
    seconds: 600,
    stage: ({ servers }) => slow(first(servers, 1), 10),
  },
  E11: {
    what: "a hundred clients, a hundred servers, half of them half as fast, at 70 %",
    servers: 100,
    clients: 100,
    perSecond: 10_500,
    seconds: 20,
    stage: ({ servers }) => slow(first(servers, 50), 2),
  },
};

/** Where servers might know better than their callers: others call them too. */
export const REPORTED = {
  R1: { what: "all alike, at 80 %; nobody else calls", perSecond: 1_600 },
  R2: {
    what: "a hundred clients, a call a second each; others take 85 % of half of the servers",
    clients: 100,
    perSecond: 100,
    seconds: 120,
    stage: ({ events, servers, chance }) => {
      for (const server of first(servers, 5)) callBesides(server, 170, events, chance);
    },
  },
  R3: {
    what: "a hundred clients, a call a second each; now and then others take all of a server for five seconds",
    clients: 100,
    perSecond: 100,
    seconds: 120,
    stage: ({ events, servers, chance }) => {
      for (const server of servers) crowdNowAndThen(server, events, chance);
    },
  },
  R4: {
    what: "ten clients, a hundred calls a second each; the same",
    seconds: 120,
    perSecond: 1_000,
    stage: ({ events, servers, chance }) => {
      for (const server of servers) crowdNowAndThen(server, events, chance);
    },
  },
  R5: { what: "a hundred clients, ten servers, at 90 %; nobody else calls", clients: 100, perSecond: 1_800 },
};

/** Others call a server, so often a second, until `until`. */
function callBesides(server, perSecond, events, chance, until = Number.POSITIVE_INFINITY) {
  if (events.now >= until) return;
  server.receive({ over: false, answered() {} });
  events.after(chance.exponential(1_000 / perSecond), () => callBesides(server, perSecond, events, chance, until));
}

function crowdNowAndThen(server, events, chance) {
  events.after(chance.exponential(40_000), () => {
    callBesides(server, 190, events, chance, events.now + 5_000);
    events.after(5_000, () => crowdNowAndThen(server, events, chance));
  });
}

function slow(servers, times) {
  for (const server of servers) server.slowness = times;
}

function slowNowAndThen(server, events, chance) {
  events.after(chance.exponential(6_000), () => {
    server.slowness = 4;
    events.after(chance.exponential(2_000), () => {
      server.slowness = 1;
      slowNowAndThen(server, events, chance);
    });
  });
}
