// Loaded into a program by `node --import`: ends it when the process that started it is gone, however that one went.
// Nothing else tells a program of Node's that its parent was killed.

const parent = process.ppid;

setInterval(() => {
  if (process.ppid !== parent) process.kill(process.pid, "SIGTERM");
}, 500).unref();
