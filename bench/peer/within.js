/** Waits for a promise, and rejects after a time-out in milliseconds. */
export async function within(millis, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(reject, millis);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
