// A Worker that is far away.

import { once } from "node:events";
import { connect, createServer } from "node:net";

/**
 * Listens on a port of its own, and passes on what it gets there, `distance` milliseconds later. What its sender has
 * given up by then is not passed on at all.
 *
 * @param {string} origin where it passes it on to
 */
export async function distant(origin) {
  const { protocol, hostname, port } = new URL(origin);
  const sockets = new Set();
  const server = createServer({ noDelay: true }, (client) => {
    const worker = connect({ host: hostname, port, noDelay: true });
    for (const [socket, other] of [
      [client, worker],
      [worker, client],
    ]) {
      sockets.add(socket);
      // "close" says it too.
      socket.on("error", () => {});
      socket.on("close", () => {
        sockets.delete(socket);
        other.destroy();
      });
    }
    client.on("data", (bytes) => setTimeout(() => worker.destroyed || worker.write(bytes), far.distance));
    worker.pipe(client);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const far = {
    distance: 0,
    origin: `${protocol}//127.0.0.1:${server.address().port}`,
    async stop() {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, "close");
    },
  };
  return far;
}
