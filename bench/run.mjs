// `npm run bench`, once everything is built: the parts of the command line, or all of them.

import { parseArgs } from "node:util";
import { measure, report, workloads } from "./cpu.mjs";
import { profile } from "./profile.mjs";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: "string", default: "16" },
    worker: { type: "string", default: "rust" },
    save: { type: "string" },
  },
});
const chosen = (known) => {
  const found = known.filter((word) => positionals.includes(word));
  return found.length > 0 ? found : known;
};
const cpu = { chosen: chosen(Object.keys(workloads)), deliveries: chosen(["direct", "durable"]) };
const seconds = Number(values.seconds);

if (positionals.includes("profile")) {
  for (const delivery of cpu.deliveries.slice(0, positionals.includes("durable") ? 2 : 1)) {
    for (const workload of cpu.chosen) {
      const wish = { workload, delivery, seconds, name: values.worker, file: values.save };
      console.log(`\n${await profile(wish)}`);
    }
  }
} else {
  console.log(`\n${report(await measure({ ...cpu, seconds }))}\n`);
}
