/** How a registry may deceive its readers while it goes on serving providers. */
export const LIES = ["empty", "unknown", "failed", "expired", "unauthorized", "corrupt", "garbage", "error"];

const LIST = /^\/v1\/services\/([^/]+)\/instances$/;
/** Far above any revision that a world reaches: whoever resumes from there is told everything anew. */
const LATER = 1_000_000;

/**
 * Answers a reader's request with a lie. False if it is no reader's request.
 *
 * @param {{ epoch: string, revision: number, view: (service: string) => readonly object[] }} truth the truth
 */
export function lied(kind, truth, request, response) {
  const [, service] = LIST.exec(request.url) ?? [];
  if (service !== undefined) {
    send(response, listAnswer(kind, truth, service));
    return true;
  }
  if (request.url !== "/v1/watch") return false;
  let text = "";
  request.on("data", (chunk) => {
    text += chunk;
  });
  request.on("end", () => watchAnswer(kind, truth, Object.keys(JSON.parse(text).services), response));
  return true;
}

function send(response, { status = 200, body }) {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(typeof body === "string" ? body : JSON.stringify(body));
}

function listAnswer(kind, truth, service) {
  switch (kind) {
    case "unauthorized":
      return problem(401, "UNAUTHORIZED");
    case "unknown":
      return problem(404, "SERVICE_UNKNOWN", { epoch: truth.epoch, warming: false });
    case "error":
      return problem(500, "INTERNAL");
    case "garbage":
      return { body: '{"service_name":"' };
    default:
      return { body: { ...head(truth, service), instances: instancesIn(kind, truth, service) } };
  }
}

function watchAnswer(kind, truth, services, response) {
  const lines = (events) => {
    response.writeHead(200, { "content-type": "application/x-ndjson" });
    for (const event of events) response.write(`${JSON.stringify(event)}\n`);
  };
  if (kind === "garbage") return response.write('{"event":');
  if (kind === "unauthorized" || kind === "error") return send(response, listAnswer(kind, truth, services[0]));
  lines(services.flatMap((service) => eventsOf(kind, truth, service)));
}

function eventsOf(kind, truth, service) {
  const told = head(truth, service);
  if (kind === "unknown") return [{ event: "absent", service_name: service, epoch: truth.epoch, warming: false }];
  if (kind !== "expired") return [{ event: "snapshot", ...told, instances: instancesIn(kind, truth, service) }];
  const instances = truth.view(service);
  const removed = instances.map(({ id }) => ({ id, reason: "expired" }));
  const before = { ...told, revision: told.revision - 1 };
  return [
    { event: "snapshot", ...before, instances },
    { event: "delta", ...told, since: before.revision, added: [], updated: [], removed },
  ];
}

function head({ epoch, revision }, service_name) {
  return { service_name, epoch, revision: revision + LATER, warming: false };
}

function instancesIn(kind, truth, service) {
  if (kind === "failed") return truth.view(service).map((each) => ({ ...each, status: "failed" }));
  if (kind === "corrupt") return truth.view(service).map((each) => ({ ...each, port: "none" }));
  return [];
}

function problem(status, code, more = {}) {
  return { status, body: { type: "about:blank", title: code, status, code, detail: "a lie", ...more } };
}
