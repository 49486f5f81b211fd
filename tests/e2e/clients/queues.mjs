// Models of the queues in mobile libraries that cannot be installed here: what each asks first, what it drops, what it
// sends again and at which status, read from its source. Beside each rule stands the file that has it; the commits are
//
//   android  rudderlabs/rudder-sdk-android   7fa2a1b908b5475bd66af8afff78407b7d43773d
//   ios      rudderlabs/rudder-sdk-ios       dcf152d5e7b8a0a715d20dbf813168cdbf46f99c
//   kotlin   rudderlabs/rudder-sdk-kotlin    f3b9e6eec9ddbc83966e85bb9f1987f8b059b8d6
//   swift    rudderlabs/rudder-sdk-swift     bd6c4c6392cdca49b337484ba26b21a4508aff94
//   flutter  segmentio/analytics_flutter     4d685c71e84a9b46d62e03a68fafc19e1018520e
//
// A pause is counted and not waited for. What a model sends goes over HTTP to a real Worker.

import { gzipSync } from "node:zlib";
import { basic } from "../lib/worker.mjs";

/** The bytes at which all of them begin another batch. */
const MAX_BATCH = 500 * 1024;

/** What ends a model that would go on for ever: so many requests, far more than any of the tests needs. */
const ENDLESS = 60;

/**
 * What all of them share: how they ask, and what became of them.
 *
 * A model has `start()`, which asks what it asks first; `flush()`, which does what the library does until its queue is
 * empty, it has stopped, or it would wait for something to happen; and `queue`, what it still holds.
 */
class Library {
  /** The batches that it posted, as `{ status, events }`, oldest first. */
  posts = [];
  #held = [];
  /** Why it will never send again, or undefined. */
  stopped;
  /** The seconds that it would have waited between its requests. */
  waited = 0;

  constructor({ url, writeKey, batchSize = 2 }) {
    this.url = url;
    this.writeKey = writeKey;
    this.batchSize = batchSize;
  }

  /** The events that it holds. */
  get queue() {
    return this.#held;
  }

  set queue(events) {
    this.#held = events;
  }

  track(event) {
    this.#held.push(event);
  }

  async ask(url, headers) {
    const response = await fetch(url, { headers });
    return { status: response.status, text: await response.text() };
  }

  async post(url, events, { headers, body, zipped }) {
    if (this.posts.length === ENDLESS) throw new Error(`${this.constructor.name} goes on for ever: ${this.told()}`);
    const response = await fetch(url, {
      method: "POST",
      headers: { ...headers, ...(zipped && { "content-encoding": "gzip" }) },
      body: zipped ? gzipSync(body) : body,
    });
    const text = await response.text();
    this.posts.push({ status: response.status, events });
    return { status: response.status, text };
  }

  told() {
    return this.posts.map(({ status }) => status).join(" ");
  }
}

/** Adds the time of sending to each event and to all of them, as Android's and iOS's do. */
function withSentAt(events, opening) {
  const sentAt = new Date().toISOString();
  const members = events.map((event) => `${JSON.stringify(event).slice(0, -1)},"sentAt":"${sentAt}"}`);
  return `{"sentAt":"${sentAt}",${opening}${members.join(",")}]}`;
}

/**
 * As many of these events as a batch may hold.
 * android FlushUtils.java:133-154, ios RSCloudModeManager.m:108-123, flutter chunk.dart:17-36
 */
function batchOf(events, most) {
  let bytes = 0;
  const fit = events.slice(0, most).findIndex((event) => {
    bytes += Buffer.byteLength(JSON.stringify(event)) + 40;
    return bytes >= MAX_BATCH;
  });
  return events.slice(0, fit > 0 ? fit : most);
}

/** Growing pauses: RudderStack's double from 3 s, up to so many seconds, and then begin anew. */
class Pauses {
  #attempt = 0;

  constructor(most = 300) {
    this.most = most;
  }

  // android ExponentialBackOff.java:40-53, ios RSExponentialBackOff.m:37-50 (without the jitter)
  next() {
    const seconds = Math.min(this.most, 3 * 2 ** this.#attempt++);
    if (seconds >= this.most) this.reset();
    return seconds;
  }

  reset() {
    this.#attempt = 0;
  }
}

/** RudderStack's first library for Android: events in a table, the oldest first, and nothing else before they are gone. */
export class RudderAndroid extends Library {
  async start() {
    const url = `${withSlash(this.url)}sourceConfig?p=android&v=1.28.0&bv=35`;
    // RudderServerConfigManager.java:74-108: four times, and not again where the words of a refusal say so
    for (let tries = 0; tries < 4; tries += 1) {
      const answer = await this.ask(url, { authorization: basic(this.writeKey) });
      const result = androids(answer);
      if (result === "WRITE_KEY_ERROR") return this.#stop("write key");
      if (result === "SUCCESS") {
        const { source } = JSON.parse(answer.text);
        // EventRepository.java:243-262: what is disabled deletes its events
        if (source?.enabled !== true) return this.#stop("disabled");
        this.dataPlane = source.dataplanes ?? this.url;
        return;
      }
      this.waited += tries + 1;
    }
    // EventRepository.java:267-276: without a configuration the processor is not started
    this.#stop("no configuration");
  }

  #stop(why) {
    this.stopped = why;
    this.queue = why === "disabled" ? [] : this.queue;
  }

  // RudderCloudModeManager.java:45-101
  async flush() {
    const pauses = new Pauses();
    while (this.queue.length > 0 && !this.stopped) {
      const events = batchOf(this.queue, this.batchSize);
      const headers = { authorization: basic(this.writeKey), "content-type": "application/json" };
      // FlushUtils.java:121-171
      const body = withSentAt(events, '"batch": [');
      const url = `${withSlash(this.dataPlane)}v1/batch`;
      const result = androids(await this.post(url, events, { headers, body, zipped: true }));
      switch (result) {
        case "SUCCESS":
          this.queue.splice(0, events.length);
          pauses.reset();
          break;
        case "WRITE_KEY_ERROR":
          this.stopped = "write key";
          break;
        case "MISSING_ANONYMOUSID_AND_USERID":
          this.queue = this.queue.filter((event) => !events.includes(event) || event.anonymousId);
          break;
        case "ERROR":
          this.waited += pauses.next();
          break;
        default:
          // RESOURCE_NOT_FOUND, BAD_REQUEST: the same again, a second later
          this.waited += 1;
      }
    }
  }
}

/** android RudderNetworkManager.java:130-160: 200 and nothing else is success, and words come before the status. */
function androids({ status, text }) {
  if (status === 200) return "SUCCESS";
  const words = text.toLowerCase();
  if (words.includes("invalid write key")) return "WRITE_KEY_ERROR";
  if (words.includes("request neither has anonymousid nor userid")) return "MISSING_ANONYMOUSID_AND_USERID";
  return { 404: "RESOURCE_NOT_FOUND", 400: "BAD_REQUEST" }[status] ?? "ERROR";
}

// android RudderNetworkManager.java:267-271, ios RSNetworkManager.m:125-130
const withSlash = (url) => (url.endsWith("/") ? url : `${url}/`);

/** RudderStack's first library for iOS: as Android's, but the status comes before the words. */
export class RudderIos extends Library {
  async start() {
    const url = `${withSlash(this.url)}sourceConfig?p=ios&v=1.31.0`;
    // RSServerConfigManager.m:109-137: four times, and not again after a 400
    for (let tries = 0; tries < 4; tries += 1) {
      const { status, text } = await this.ask(url, { authorization: basic(this.writeKey) });
      if (status === 200) {
        const { source } = JSON.parse(text);
        // RSServerConfigSource.m:46-49, RSEventRepository.m:180-212: what is disabled deletes its events
        if (source?.enabled !== true) {
          this.stopped = "disabled";
          this.queue = [];
        }
        this.dataPlane = source?.dataplanes ?? this.url;
        return;
      }
      if (status === 400) {
        this.stopped = "write key";
        return;
      }
      this.waited += tries + 1;
    }
    this.stopped = "no configuration";
  }

  // RSCloudModeManager.m:41-86
  async flush() {
    const pauses = new Pauses();
    while (this.queue.length > 0 && !this.stopped) {
      const events = batchOf(this.queue, this.batchSize);
      const headers = { authorization: basic(this.writeKey), "content-type": "application/json" };
      const body = withSentAt(events, '"batch":[');
      const { status, text } = await this.post(`${withSlash(this.dataPlane)}v1/batch`, events, {
        headers,
        body,
        zipped: true,
      });
      // RSNetworkManager.m:77-95
      if (status === 200) {
        this.queue.splice(0, events.length);
        pauses.reset();
      } else if (status === 404 || status === 400) {
        this.waited += 1;
      } else if (text.toLowerCase().includes("invalid write key")) {
        this.stopped = "write key";
      } else {
        this.waited += pauses.next();
      }
    }
  }
}

/**
 * RudderStack's second libraries: files of events, one after the other. A status of four says what becomes of a file; at
 * every other one nothing else is sent before this file has gone.
 */
class RudderFiles extends Library {
  /** The sealed files, and the one that is still written. */
  files = [];
  current = [];

  get queue() {
    return [...this.files.flat(), ...this.current];
  }

  set queue(events) {
    this.files = [];
    this.current = [...events];
  }

  track(event) {
    // kotlin EventBatchFileManager.kt:84-92, swift DiskStore.swift:40-45: only then is a file found too large
    if (Buffer.byteLength(JSON.stringify(this.current)) > MAX_BATCH) this.seal();
    this.current.push(event);
    // kotlin FlushPoliciesFacade, EventQueue.kt:124-128; swift EventWriter.swift:77-85: so many events are a file
    if (this.current.length >= this.batchSize) this.seal();
  }

  seal() {
    if (this.current.length > 0) this.files.push(this.current);
    this.current = [];
  }

  async start() {
    const { target, headers } = this.first();
    // kotlin SourceConfigManager.kt:90-128, swift SourceConfigProvider.swift:85-136: not again after a 400, else six times
    for (let tries = 0; tries < 6; tries += 1) {
      const { status, text } = await this.ask(`${withoutSlash(this.url)}/${target}`, headers);
      if (status === 400) return this.shutDown("write key");
      if (status >= 200 && status < 300) {
        // Without a configuration the source counts as enabled, so that events go out all the same.
        if (this.decode(JSON.parse(text))?.enabled === false) this.stopped = "disabled";
        return;
      }
      this.waited += 3 * 2 ** tries;
    }
  }

  /** kotlin AnalyticsUtils.kt:59-62, swift Analytics.swift:350-353: what is stored is deleted. */
  shutDown(why) {
    this.stopped = why;
    this.queue = [];
  }

  // kotlin EventUpload.kt:96-164, swift EventUploader.swift:34-103
  async flush() {
    this.seal();
    let attempt = 0;
    while (this.files.length > 0 && !this.stopped) {
      const [file] = this.files;
      const { status } = await this.post(`${withoutSlash(this.url)}/v1/batch`, file, this.request(file));
      if (status >= 200 && status < 300) {
        this.files.shift();
        attempt = 0;
      } else if (status === 400 || status === 413) {
        // kotlin EventUpload.kt:169-175, 195-201, swift EventUploader.swift:138-140, 152-154: the whole file is deleted
        this.files.shift();
        attempt = 0;
      } else if (status === 401) {
        this.shutDown("write key");
      } else if (status === 404) {
        // kotlin EventUpload.kt:186-193, swift EventUploader.swift:147-150: "source disabled"
        this.stopped = "disabled";
      } else {
        // kotlin MaxAttemptsWithBackoff.kt:38-51, swift BackoffPolicyHandler.swift:34-57: five, then half an hour
        attempt += 1;
        this.waited += attempt > 5 ? 1_800 : 3 * 2 ** (attempt - 1);
        if (attempt > 5) attempt = 0;
      }
    }
  }
}

// kotlin StringUtils.kt:107-108, swift Extensions.swift:31-33: one slash, not two
const withoutSlash = (url) => url.replace(/\/$/, "");

/** A member that must be there, and of this type. */
function required(object, key, type) {
  if (typeof object?.[key] !== type) throw new TypeError(`${key} is not a ${type}`);
  return object[key];
}

export class RudderKotlin extends RudderFiles {
  // SourceConfigManager.kt:152-183
  first() {
    const query = `p=android&v=1.6.0&writeKey=${this.writeKey}&bv=35`;
    return { target: `sourceConfig?${query}`, headers: { authorization: basic(this.writeKey) } };
  }

  /** SourceConfig.kt:88-98: what has no default must be there; else the answer is as good as none. */
  decode({ source }) {
    try {
      for (const key of ["id", "name", "writeKey", "workspaceId", "updatedAt"]) required(source, key, "string");
      return { enabled: required(source, "enabled", "boolean") };
    } catch {
      return undefined;
    }
  }

  // EventBatchFileManager.kt:14-15, 173-177; HttpClientImpl.kt:226-241
  request(events) {
    const sentAt = new Date().toISOString();
    const members = events.map((event) => JSON.stringify({ ...event, sentAt }));
    return {
      headers: { authorization: basic(this.writeKey), "content-type": "application/json" },
      body: `{"batch":[${members.join(",")}],"sentAt":"${sentAt}"}`,
      zipped: true,
    };
  }
}

export class RudderSwift extends RudderFiles {
  // HttpClient.swift:40-48, 108-119
  first() {
    const query = `p=swift&v=1.3.1&bv=18.2&writeKey=${this.writeKey}`;
    const headers = { authorization: basic(this.writeKey), "content-type": "application/json" };
    return { target: `sourceConfig?${query}`, headers };
  }

  /** SourceConfig.swift:40-106: every one of them must be there; else the answer is as good as none. */
  decode({ source }) {
    try {
      for (const key of ["id", "name", "writeKey", "workspaceId", "updatedAt"]) required(source, key, "string");
      const stats = source.config.statsCollection;
      for (const which of ["errors", "metrics"]) required(stats[which], "enabled", "boolean");
      required(source.destinations, "length", "number");
      return { enabled: required(source, "enabled", "boolean") };
    } catch {
      return undefined;
    }
  }

  // DataStore.swift:51-53, Extensions.swift:162-167 (the events are printed over many lines), EventUploader.swift:81
  request(events) {
    const sentAt = new Date().toISOString();
    const members = events.map((event) => JSON.stringify({ ...event, sentAt }, null, 2));
    return {
      headers: { authorization: basic(this.writeKey), "content-type": "application/json" },
      body: `{"batch":[${members.join(",")}],"sentAt":"${sentAt}"}`,
      zipped: false,
    };
  }
}

/** Segment's library for Flutter: at each flush it sends all that it holds, and forgets what was answered below 300. */
export class SegmentFlutter extends Library {
  async start() {
    const url = `${this.url}/v1/projects/${this.writeKey}/settings`;
    const { status, text } = await this.ask(url, { "content-type": "application/json; charset=utf-8" });
    // http_client.dart:70-94, analytics.dart:355-369: without settings it sends all the same
    this.apiHost = status <= 300 ? JSON.parse(text).integrations["Segment.io"]?.apiHost : undefined;
  }

  // segment_destination.dart:21-67, chunk.dart, http_client.dart:30-68
  async flush() {
    const held = [...this.queue];
    const sent = new Set();
    for (let events, at = 0; at < held.length; at += events.length) {
      events = batchOf(held.slice(at), this.batchSize);
      const sentAt = new Date().toISOString();
      const { protocol, host } = new URL(this.url);
      const { status } = await this.post(`${protocol}//${this.apiHost ?? `${host}/v1`}/b`, events, {
        headers: { "content-type": "application/json; charset=utf-8" },
        body: JSON.stringify({ batch: events, sentAt, writeKey: this.writeKey }),
      });
      // A batch that fails stays, and the next one is tried.
      if (status < 300) for (const event of events) sent.add(event);
    }
    this.queue = this.queue.filter((event) => !sent.has(event));
  }
}

/** All of them, with the name that the README has. */
export const libraries = {
  "RudderStack, Android": RudderAndroid,
  "RudderStack, iOS": RudderIos,
  "RudderStack, Kotlin": RudderKotlin,
  "RudderStack, Swift": RudderSwift,
  analytics_flutter: SegmentFlutter,
};
