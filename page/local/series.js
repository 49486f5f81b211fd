import { throttled } from "../shared/dom.js";
import { getSeries } from "./api.js";

/** How much of the past the page shows, in seconds. */
export const WINDOW = 600;

/** How much of it is kept: the widest bucket may begin before the window does. */
const KEPT = WINDOW + 60;

const PARALLEL = 2;

/**
 * The last ten minutes of every metric that is on the screen, as the server has stored them. The server alone knows how
 * measurements of one second merge, so what has changed is asked for again (only the changed end of it) instead of being
 * added up here.
 */
export class SeriesCache {
  /** @type {Map<string, any>} */
  #entries = new Map();
  #running = 0;
  #timer = 0;
  #changed;
  /** One look for what is due, however many measurements have come. */
  #wake = throttled(() => this.#pump());

  /** @param {(name: string) => void} changed called after new points have come */
  constructor(changed) {
    this.#changed = changed;
  }

  /** @returns {Map<string, import("./buckets.js").Series>} series by source */
  get(name) {
    return this.#entries.get(name)?.sources ?? new Map();
  }

  /**
   * Keeps a metric up to date from now on, asking at most once per `interval` milliseconds.
   * @param {string} watcher who wants it
   */
  watch(name, watcher, interval) {
    let entry = this.#entries.get(name);
    if (!entry) {
      entry = {
        name,
        sources: new Map(),
        watchers: new Map(),
        dirtyFrom: 0,
        loading: false,
        loadedAt: Number.NEGATIVE_INFINITY,
        took: 0,
      };
      this.#entries.set(name, entry);
    }
    entry.watchers.set(watcher, interval);
    this.#wake();
  }

  /** Forgets the points of a metric with its last watcher. */
  unwatch(name, watcher) {
    const watchers = this.#entries.get(name)?.watchers;
    watchers?.delete(watcher);
    if (watchers?.size === 0) this.#entries.delete(name);
  }

  /** Says that a metric has got something new at `second`. */
  touch(name, second) {
    const entry = this.#entries.get(name);
    if (!entry) return;
    entry.dirtyFrom = Math.min(entry.dirtyFrom, second);
    this.#wake();
  }

  /** Asks for everything again, for after a lost connection. */
  touchAll() {
    for (const entry of this.#entries.values()) entry.dirtyFrom = 0;
    this.#wake();
  }

  /** Forgets all points, and asks again for those of what is watched. */
  clear() {
    for (const entry of this.#entries.values()) entry.sources = new Map();
    this.touchAll();
  }

  /** When an entry may be asked for next; a slow server is asked less often. */
  #due(entry) {
    return entry.loadedAt + Math.max(Math.min(...entry.watchers.values()), 3 * entry.took);
  }

  #pump() {
    clearTimeout(this.#timer);
    const now = performance.now();
    const waiting = [...this.#entries.values()]
      .filter((entry) => entry.dirtyFrom < Number.POSITIVE_INFINITY && !entry.loading)
      .map((entry) => ({ entry, due: this.#due(entry) }))
      .sort((a, b) => a.due - b.due);
    for (const { entry, due } of waiting) {
      if (this.#running >= PARALLEL) return;
      if (due > now) {
        this.#timer = setTimeout(() => this.#pump(), due - now);
        return;
      }
      this.#load(entry);
    }
  }

  async #load(entry) {
    const started = performance.now();
    const now = Math.floor(Date.now() / 1000);
    const seconds = Math.min(KEPT, Math.max(1, now - entry.dirtyFrom) + 2);
    entry.dirtyFrom = Number.POSITIVE_INFINITY;
    entry.loading = true;
    this.#running += 1;
    try {
      const { series } = await getSeries(entry.name, seconds);
      for (const { source, points } of series) {
        const stored = entry.sources.get(source) ?? new Map();
        entry.sources.set(source, stored);
        for (const [second, ...point] of points) stored.set(second, point);
        if (stored.size > 2 * KEPT) {
          for (const second of stored.keys()) if (second < now - KEPT) stored.delete(second);
        }
      }
      this.#changed(entry.name);
    } catch {
      // The metric is unknown after a reset, or the server is down: the reconnected stream asks again.
    } finally {
      entry.loading = false;
      entry.loadedAt = performance.now();
      entry.took = entry.loadedAt - started;
      this.#running -= 1;
      this.#pump();
    }
  }
}
