import { getDelivery } from "./api.js";

/** How often the Worker is asked, in milliseconds. */
const INTERVAL = 1500;

/**
 * Tells `show`, as long as the page lives, how many events wait in the Worker's queue and how many were set aside.
 * A Worker without a queue has neither, and one that cannot be reached changes nothing.
 */
export async function watchDelivery(config, show) {
  for (;;) {
    try {
      const { mode, waiting, setAside } = await getDelivery(config);
      show(mode === "durable" ? { backlog: waiting, setAside } : {});
    } catch {
      // The playground shows that the Worker is unreachable.
    }
    await new Promise((resolve) => setTimeout(resolve, INTERVAL));
  }
}
