// What the platform calls. Its one job is the answer when the module has stopped: after a panic, which aborts, the
// promise of a call never settles (worker 0.8.7 without `--panic-unwind`, which needs a nightly toolchain).

import Worker, { Once, SetAside } from "librato_edge";

export { Once, SetAside };

export default Worker;
