/** Something that is asked again and again, while the tab is shown and somebody wants it. */
export class Poll {
  #task;
  #interval;
  #timer = 0;
  #isWanted = false;
  #isRunning = false;
  #isDue = false;

  /** @param {() => Promise<void>} task never fails @param {number} interval in milliseconds, from end to beginning */
  constructor(task, interval) {
    this.#task = task;
    this.#interval = interval;
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) clearTimeout(this.#timer);
      else if (this.#isWanted) this.now();
    });
  }

  set wanted(isWanted) {
    if (isWanted === this.#isWanted) return;
    this.#isWanted = isWanted;
    if (isWanted) this.now();
    else clearTimeout(this.#timer);
  }

  /** Asks at once, or right after the question that is on its way. */
  async now() {
    if (this.#isRunning) {
      this.#isDue = true;
      return;
    }
    clearTimeout(this.#timer);
    this.#isRunning = true;
    do {
      this.#isDue = false;
      await this.#task();
    } while (this.#isDue);
    this.#isRunning = false;
    if (this.#isWanted && !document.hidden) this.#timer = setTimeout(() => this.now(), this.#interval);
  }
}
