/** What webhooks and contacts have in common: a list of cards, each with a log of what was sent. */

import { el, icon } from "./dom.js";
import { ago, moment } from "./format.js";
import { toastError } from "./toast.js";

const WORDS = { pending: "on its way", delivered: "delivered", failed: "failed" };

/**
 * A list of cards by id. `make(doc)` gives `{element, update(doc)}`, and `load()` the documents.
 */
export function toldList({ list, load, make }) {
  const cards = new Map();
  const none = document.querySelector(`[data-none=${list.id}]`);

  function put(doc) {
    const known = cards.get(doc.id);
    if (known) known.update(doc);
    else {
      const card = make(doc);
      cards.set(doc.id, card);
      list.append(card.element);
    }
    none.hidden = true;
  }

  function drop(id) {
    cards.get(id)?.element.remove();
    cards.delete(id);
    none.hidden = cards.size > 0;
  }

  async function show() {
    const { data } = await load();
    const there = new Set(data.map((doc) => doc.id));
    for (const id of [...cards.keys()]) if (!there.has(id)) drop(id);
    data.forEach(put);
    none.hidden = data.length > 0;
  }

  return { put, drop, show };
}

/** A button that does one thing, and is busy meanwhile; what goes wrong is shown in the corner. */
export function actionButton(words, act, extra = "") {
  const button = el("button", { type: "button", class: `quiet-button ${extra}`.trim() }, words);
  button.addEventListener("click", async () => {
    if (button.getAttribute("aria-busy")) return;
    button.setAttribute("aria-busy", "true");
    try {
      await act();
    } catch (failure) {
      toastError(failure);
    } finally {
      button.removeAttribute("aria-busy");
    }
  });
  return button;
}

/** A word on a colored ground: how something stands. `tone` is good, bad or calm. */
export function standing(tone, words) {
  return el("span", { class: `standing ${tone}` }, words);
}

/**
 * A log that is loaded when it is opened. `load(cursor)` gives a page, `line(doc)` what there is to
 * see of one entry beyond its state, type and time.
 */
export function logOf({ load, line }) {
  const rows = el("ol", { class: "log" });
  const empty = el("p", { class: "hint", hidden: true }, "Nothing was sent yet.");
  const more = actionButton("Load more", () => next());
  const element = el("details", { class: "log-box" }, el("summary", {}, "What was sent"), empty, rows, more);
  let cursor = null;

  async function next() {
    const page = await load(cursor);
    cursor = page.next_cursor;
    rows.append(...page.data.map((doc) => entry(doc, line(doc))));
    more.hidden = !cursor;
    empty.hidden = rows.children.length > 0;
  }

  async function refresh() {
    cursor = null;
    rows.replaceChildren();
    await next();
  }

  element.addEventListener("toggle", () => {
    if (element.open) refresh().catch(toastError);
  });
  return { element, refresh: () => (element.open ? refresh() : (element.open = true)) };
}

function entry(doc, parts) {
  const tone = { delivered: "good", failed: "bad" }[doc.state] ?? "calm";
  const tries = doc.tries > 1 ? ` after ${doc.tries} tries` : "";
  return el("li", {},
    el("div", { class: "log-line" },
      standing(tone, WORDS[doc.state] + (doc.state === "pending" ? "" : tries)),
      el("code", {}, doc.type),
      el("time", { datetime: doc.created_at, title: moment(doc.created_at), data: { ago: "" } }, ago(doc.created_at)),
      ...parts.buttons ?? []),
    doc.error && doc.state !== "delivered" && el("p", { class: "log-error" }, icon("warning"), doc.error,
      doc.next_try_at ? ` Next try ${ago(doc.next_try_at)}.` : ""),
    ...parts.below ?? []);
}
