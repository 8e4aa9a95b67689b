/**
 * Follows jobs and batches until they are final: a few by live stream, the others by asking.
 *
 * Browsers allow six connections to a plain-HTTP server over all tabs, and a stream holds one, so
 * streams are few and closed while the page is hidden. A stream begins with a snapshot, therefore
 * whatever happened in between is never missed; in between EventSource resumes by itself.
 */

import { api, ping, Problem, ServerAway, wire } from "./api.js";
import { isBatch, isFinal } from "./labels.js";

const MOST_STREAMS = 2;
const MOST_ASKED = 20;
const ROUND_MS = 2000;
const TYPES = [
  "job.queued", "job.started", "job.waiting", "job.progress", "job.retrying",
  "job.succeeded", "job.failed", "job.canceled", "batch.created", "batch.progress", "batch.finished",
];

export class Follower {
  #followed = new Map();
  #timer = null;
  #on;

  /**
   * @param {{ document: (doc: object) => void, progress: (id: string, data: object) => void,
   *           gone: (id: string) => void }} on what to do with news
   */
  constructor(on) {
    this.#on = on;
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) this.#closeStreams();
      else this.#arrange();
    });
  }

  /** Follows a job or batch until it is final; harmless when it is followed already. */
  follow(doc) {
    if (isFinal(doc)) {
      this.forget(doc.id);
      return;
    }
    const known = this.#followed.get(doc.id);
    if (known) {
      known.queued = doc.status === "queued";
      return;
    }
    const entry = { id: doc.id, batch: isBatch(doc), queued: doc.status === "queued", source: null, resting: 0 };
    this.#followed.set(doc.id, entry);
    this.#arrange();
    this.#timer ??= setTimeout(() => this.#round(), ROUND_MS);
  }

  forget(id) {
    this.#followed.get(id)?.source?.close();
    this.#followed.delete(id);
    this.#arrange();
  }

  clear() {
    this.#closeStreams();
    this.#followed.clear();
  }

  #closeStreams() {
    for (const entry of this.#followed.values()) {
      entry.source?.close();
      entry.source = null;
    }
  }

  #arrange() {
    if (document.hidden) return;
    let free = MOST_STREAMS;
    for (const entry of this.#followed.values()) if (entry.source) free -= 1;
    for (const entry of this.#followed.values()) {
      if (free <= 0) return;
      if (entry.source || entry.resting > 0) continue;
      this.#open(entry);
      free -= 1;
    }
  }

  #open(entry) {
    const noun = entry.batch ? "batches" : "jobs";
    const source = new EventSource(`v1/${noun}/${encodeURIComponent(entry.id)}/events`);
    entry.source = source;
    source.addEventListener("snapshot", (frame) => this.#take(JSON.parse(frame.data)));
    for (const type of TYPES) {
      source.addEventListener(type, (frame) => this.#hear(entry, JSON.parse(frame.data).data));
    }
    source.addEventListener("error", () => this.#stumble(entry, source));
  }

  #hear(entry, news) {
    if (news.batch) this.#take(news.batch);
    else if (news.items) for (const item of news.items) this.#hear(entry, item);
    else if (news.job) this.#take(news.job);
    else this.#on.progress(entry.id, news);
  }

  #take(doc) {
    this.#on.document(doc);
    if (isFinal(doc)) this.forget(doc.id);
    else if (this.#followed.has(doc.id)) this.#followed.get(doc.id).queued = doc.status === "queued";
  }

  async #stumble(entry, source) {
    if (source.readyState === EventSource.CLOSED && entry.source === source) {
      entry.source = null; // refused for good: ask instead, and try a stream again later
      entry.resting = 3;
    }
    if (!(await ping())) wire.dispatchEvent(new Event("away"));
  }

  async #round() {
    if (!document.hidden) await this.#ask();
    this.#timer = this.#followed.size ? setTimeout(() => this.#round(), ROUND_MS) : null;
  }

  async #ask() {
    const asked = [...this.#followed.values()].filter((entry) => !entry.source || entry.queued);
    for (const entry of asked.slice(0, MOST_ASKED)) {
      entry.resting = Math.max(0, entry.resting - 1);
      try {
        this.#take(await (entry.batch ? api.batch(entry.id) : api.job(entry.id)));
      } catch (failure) {
        if (failure instanceof ServerAway) return;
        if (!(failure instanceof Problem)) throw failure;
        this.#refused(entry, failure);
      }
    }
    this.#arrange();
  }

  #refused(entry, problem) {
    if (problem.status !== 404) return;
    this.forget(entry.id);
    this.#on.gone(entry.id);
  }
}
