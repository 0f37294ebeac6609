// Four backends that answer with as little as HTTP allows.
import { createServer } from "node:net";

const REPLY = Buffer.from(
  'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 15\r\n\r\n{"order":"4242"}'.slice(0, -1),
);
const ports = await Promise.all(
  Array.from({ length: 4 }, () => {
    const server = createServer((socket) => {
      socket.setNoDelay(true);
      socket.on("data", () => socket.write(REPLY));
      socket.on("error", () => {});
    });
    return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server.address().port)));
  }),
);
process.send(ports);
process.once("disconnect", () => process.exit());
