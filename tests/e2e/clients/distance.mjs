// A Worker that is as far away as a test wants it.

import { once } from "node:events";
import { connect, createServer } from "node:net";

/**
 * Listens on a port of its own, and passes on what it gets there: at once, or while it holds, when it is released. What its
 * sender has given up by then is not passed on at all.
 *
 * @param {string} origin where it passes it on to
 */
export async function distant(origin) {
  const { protocol, hostname, port } = new URL(origin);
  const sockets = new Set();
  /** What is on its way, while it holds. */
  let held;
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
    client.on("data", (bytes) => {
      const pass = () => worker.destroyed || worker.write(bytes);
      if (held) held.push(pass);
      else pass();
    });
    worker.pipe(client);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    origin: `${protocol}//127.0.0.1:${server.address().port}`,
    hold() {
      held = [];
    },
    release() {
      for (const pass of held ?? []) pass();
      held = undefined;
    },
    async stop() {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, "close");
    },
  };
}
