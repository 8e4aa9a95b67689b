/** The grid of results: history by pages, new work on top, everything kept up to date. */

import { api } from "./api.js";
import { createBatchCard } from "./batch-card.js";
import { createCard } from "./card.js";
import { el } from "./dom.js";
import { Follower } from "./events.js";
import { FILTERS, isBatch, isFinal, titleOf, withEnd } from "./labels.js";
import { say, toastError } from "./toast.js";

const PAGE = 24;

export class Results {
  #cards = new Map();
  #hidden = new Set(); // ids of what is being deleted
  #kind = "";
  #cursor = null;
  #reading = 0; // which reading of the list is the current one; late answers of others are dropped
  #parts;
  #act = null;
  #follower = new Follower({
    document: (doc) => this.put(doc),
    progress: (id, data) => this.#progress(id, data),
    gone: (id) => this.drop(id),
  });

  /** @param {{ list: Element, empty: Element, more: Element, filters: Element }} parts */
  constructor(parts) {
    this.#parts = parts;
    parts.more.addEventListener("click", () => this.#read(this.#cursor).catch(toastError));
    parts.filters.append(...FILTERS.map(([kind, label]) => el("button", {
      type: "button", "aria-pressed": String(kind === ""), data: { kind },
      on: { click: () => this.show(kind) },
    }, label)));
  }

  /** Sets the actions that cards offer, made after the results because they act on them. */
  useActions(actions) {
    this.#act = actions;
  }

  clear() {
    this.#reading += 1;
    this.#follower.clear();
    this.#cards.clear();
    this.#parts.list.replaceChildren();
    this.#parts.more.hidden = true;
    this.#parts.empty.hidden = true;
  }

  /** Shows one kind only, or all with "". */
  show(kind) {
    this.#kind = kind;
    for (const button of this.#parts.filters.children) {
      button.setAttribute("aria-pressed", String(button.dataset.kind === kind));
    }
    this.clear();
    return this.#read(null).catch(toastError);
  }

  /** Looks at the newest page again, for what happened while we were away. */
  refresh() {
    return this.#read(null, { keepCursor: true }).catch(toastError);
  }

  /** Shows what was just submitted, on top and in sight. */
  async add(doc) {
    if (this.#kind !== "" && this.#kind !== doc.kind) await this.show("");
    this.put(doc);
    this.#bringIntoSight(doc.id);
    say(isBatch(doc) ? `${doc.items.length} jobs started` : `Started: ${titleOf(doc)}`);
  }

  /** Brings a job or batch into sight that a link names; a job of a batch is shown with it. */
  async open(id) {
    const named = await (id.startsWith("bat_") ? api.batch(id) : api.job(id));
    const doc = named.batch_id ? await api.batch(named.batch_id) : named;
    this.put(doc);
    this.#bringIntoSight(doc.id);
  }

  #bringIntoSight(id) {
    const { element } = this.#cards.get(id);
    element.classList.add("new");
    element.scrollIntoView({ block: "nearest", behavior: "smooth" });
  }

  /** Shows a job or batch document, as a new card or in its old one. */
  put(news) {
    const doc = isBatch(news) ? news : withEnd(news);
    if (this.#hidden.has(doc.id) || this.#hidden.has(doc.batch_id)) return;
    if (doc.batch_id && this.#cards.has(doc.batch_id)) {
      this.#putItem(doc);
      return;
    }
    const card = this.#cards.get(doc.id);
    if (card) {
      this.#announce(card.doc, doc);
      card.update(doc);
    } else {
      this.#place(doc);
    }
    this.#follower.follow(doc);
  }

  /** Takes away a card that is being deleted. */
  hide(id) {
    this.#hidden.add(id);
    this.drop(id);
  }

  /** Shows again what was hidden. */
  unhide(doc) {
    this.#hidden.delete(doc.id);
    this.put(doc);
  }

  drop(id) {
    this.#follower.forget(id);
    this.#cards.get(id)?.element.remove();
    this.#cards.delete(id);
    this.#parts.empty.hidden = this.#cards.size > 0;
  }

  #putItem(job) {
    const card = this.#cards.get(job.batch_id);
    card.updateItem(job.batch_index, job);
    if (!isFinal(job) && isFinal(card.doc)) {
      api.batch(job.batch_id).then((batch) => this.put(batch), toastError); // redriven: it lives again
    }
  }

  #progress(id, data) {
    const card = this.#cards.get(id);
    if (!card) return;
    const { status, stage, progress, preview, index } = data;
    const queue_position = status === "queued" ? undefined : null;
    const change = {
      status, stage, progress,
      ...(queue_position === null && { queue_position }),
      ...(preview && { preview }), // a rough picture stays until a better one comes
    };
    if (isBatch(card.doc)) {
      if (index !== undefined && index !== null) card.updateItem(index, change);
    } else {
      card.update({ ...card.doc, ...change });
    }
  }

  #announce(before, after) {
    if (isFinal(before) || !isFinal(after)) return;
    const what = isBatch(after) ? "Batch" : titleOf(after);
    say(after.status === "failed" ? `Failed: ${what}. ${after.error?.detail ?? after.error?.title ?? ""}` : `${after.status}: ${what}`);
  }

  #place(doc) {
    const make = isBatch(doc) ? createBatchCard : createCard;
    const card = make(doc, this.#act);
    const older = [...this.#cards.values()]
      .filter((other) => other.doc.created_at < doc.created_at)
      .sort((one, two) => (one.doc.created_at < two.doc.created_at ? 1 : -1));
    this.#parts.list.insertBefore(card.element, older[0]?.element ?? null);
    this.#cards.set(doc.id, card);
    this.#parts.empty.hidden = true;
  }

  async #read(cursor, { keepCursor = false } = {}) {
    const reading = (this.#reading += 1);
    let page;
    do {
      // A look for a rare kind may find none on its way, and say where the next goes on.
      page = await api.jobs({ kind: this.#kind || null, limit: PAGE, cursor });
      cursor = page.next_cursor;
    } while (page.data.length === 0 && cursor !== null && reading === this.#reading);
    const batchIds = new Set(page.data.map((job) => job.batch_id).filter(Boolean));
    const unknown = [...batchIds].filter((id) => keepCursor || !this.#cards.has(id));
    const batches = await Promise.all(unknown.map((id) => api.batch(id)));
    if (reading !== this.#reading) return;
    for (const doc of [...batches, ...page.data.filter((job) => !job.batch_id)]) this.put(doc);
    if (!keepCursor) this.#cursor = page.next_cursor;
    this.#parts.more.hidden = this.#cursor === null;
    this.#parts.empty.hidden = this.#cards.size > 0;
  }
}
