// Client of the Chrome DevTools Protocol of a Worker in workerd.

/** Time-out of a call, in milliseconds. */
const PATIENCE = 30_000;

/** A connection to a Worker's inspector. */
export class Inspector {
  #socket;
  #next = 1;
  #waiting = new Map();
  /** Execution context of the Worker, once `Runtime.enable` has been answered. */
  context;

  constructor(socket) {
    this.#socket = socket;
    socket.addEventListener("message", ({ data }) => {
      const { id, result, error, method, params } = JSON.parse(data);
      if (method === "Runtime.executionContextCreated") this.context = params.context.id;
      const waiting = this.#waiting.get(id);
      if (!waiting) return;
      this.#waiting.delete(id);
      if (error) waiting.reject(new Error(error.message));
      else waiting.resolve(result);
    });
    socket.addEventListener("close", () => {
      for (const { reject } of this.#waiting.values()) reject(new Error("the inspector was closed"));
    });
  }

  /** Connects to the Worker of a name. */
  static async of(host, name) {
    const list = await (await fetch(`http://${host}/json`)).json();
    const found = list.find(({ id }) => id === name);
    if (!found) throw new Error(`the inspector knows no ${name}: ${list.map(({ id }) => id)}`);
    const socket = new WebSocket(found.webSocketDebuggerUrl);
    await new Promise((resolve, reject) => {
      socket.addEventListener("open", resolve);
      socket.addEventListener("error", () => reject(new Error("the inspector does not answer")));
    });
    return new Inspector(socket);
  }

  /** Calls a method and waits for its result. */
  send(method, params = {}) {
    const id = this.#next;
    this.#next += 1;
    this.#socket.send(JSON.stringify({ id, method, params }));
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`the inspector does not answer ${method}`)), PATIENCE);
      const ended = (settle) => (value) => {
        clearTimeout(late);
        settle(value);
      };
      this.#waiting.set(id, { resolve: ended(resolve), reject: ended(reject) });
    });
  }

  close() {
    this.#socket.close();
  }
}
