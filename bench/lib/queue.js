// A queue in memory, for the benchmark of throughput: it keeps what it is sent, and hands it to its consumer when told
// to.

import { WorkerEntrypoint } from "cloudflare:workers";

/** As `wrangler.toml` has it. */
const BATCH = 100;
/** How often a consumer looks for a full batch, in milliseconds. */
const PAUSE = 10;

const messages = [];
let number = 0;

function keep(body) {
  number += 1;
  messages.push({ id: String(number), timestamp: new Date(), attempts: 1, body });
}

export class Queue extends WorkerEntrypoint {
  send(body) {
    keep(body);
  }

  sendBatch(batch) {
    for (const { body } of batch) keep(body);
  }
}

export default {
  /** `?batches=N&consumers=M`: consumes so many full batches, which may still come, and answers when it has. */
  async fetch(request, { CONSUMER }) {
    const { searchParams } = new URL(request.url);
    let left = Number(searchParams.get("batches"));
    let again = 0;
    const consume = async () => {
      while (left > 0) {
        left -= 1;
        while (messages.length < BATCH) await scheduler.wait(PAUSE);
        const { retryMessages } = await CONSUMER.queue("librato-edge", messages.splice(0, BATCH));
        again += retryMessages.length;
      }
    };
    await Promise.all(Array.from({ length: Number(searchParams.get("consumers")) }, consume));
    return Response.json({ again });
  },
};
