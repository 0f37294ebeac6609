// Cold sockets, all at once, each with one registration: how many fail, and how long the slowest waits.
import { connect } from "node:net";
import { registration, start } from "./against-server.mjs";

export const unit = "5,000 cold sockets at once: errors, and ms until the last was answered";
export const reference = "bare node:http, JSON into a Map";
const SOCKETS = 5_000;

export const contestants = { [reference]: () => measured("bare"), "createRegistryServer()": () => measured("ours") };

async function measured(kind) {
  const server = await start(kind);
  const { hostname, port } = new URL(server.url);
  for (let warm = 0; warm < 200; warm++) await one(hostname, port, warm);
  const begun = performance.now();
  const results = await Promise.all(Array.from({ length: SOCKETS }, (_, index) => one(hostname, port, 1_000 + index)));
  const ms = performance.now() - begun;
  server.stop();
  return { errors: results.filter((ok) => !ok).length, "ms until the last": ms };
}

function one(hostname, port, index) {
  const body = registration(index);
  const head = `POST /v1/register HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`;
  return new Promise((resolve) => {
    const socket = connect(Number(port), hostname, () => socket.write(head + body));
    let ok = false;
    socket.once("data", (chunk) => {
      ok = String(chunk).startsWith("HTTP/1.1 201");
    });
    socket.once("close", () => resolve(ok));
    socket.once("error", () => {});
  });
}
