/** The card of a batch: its counts, one bar for all, and a tile for each item. */

import { el, icon, iconButton, progressBar, setProgress } from "./dom.js";
import { ago } from "./format.js";
import { batchTitle, countsText, isFinal, kindOf } from "./labels.js";
import { failedMedia, pictureMedia, trayMedia } from "./media.js";

const SMALL = 3; // tiles that fit into the width of two cards

/** Makes a card: `{element, doc, update(doc), updateItem(data)}`. `act` is what actions.js makes. */
export function createBatchCard(batch, act) {
  const title = el("h3");
  const counts = el("p", { class: "batch-counts" });
  const buttons = el("div", { class: "card-actions" });
  const bar = progressBar(`Progress of ${batchTitle(batch)}`);
  const list = el("ul", { class: "tiles" });
  const element = el("li", { class: "card batch", data: { batch: batch.id } },
    el("div", { class: "batch-head" }, title, counts, buttons), bar, list);
  const tiles = new Map();
  const card = { element, doc: batch, update, updateItem };
  let shownStatus = null;

  function update(doc) {
    card.doc = doc;
    element.classList.toggle("one", doc.items.length === 1);
    element.classList.toggle("small", doc.items.length > 1 && doc.items.length <= SMALL);
    for (const item of doc.items) {
      const tile = tiles.get(item.index) ?? addTile(item);
      tile.update(item);
    }
    drawHead();
  }

  function addTile(item) {
    const tile = createTile(item, () => card.doc, act);
    tiles.set(item.index, tile);
    list.append(tile.element);
    return tile;
  }

  /** Takes the `data` of one job's event, or a whole job document of this batch. */
  function updateItem(index, change) {
    const item = card.doc.items.find((one) => one.index === index);
    if (!item) return;
    item.job = { ...item.job, ...change };
    tiles.get(index).update(item);
    recount(card.doc);
    drawHead();
  }

  function drawHead() {
    const doc = card.doc;
    title.replaceChildren(icon(kindOf(doc).icon), batchTitle(doc));
    counts.replaceChildren(countsText(doc), " · ",
      el("time", { datetime: doc.created_at, "data-ago": true }, ago(doc.created_at)));
    bar.hidden = isFinal(doc);
    setProgress(bar, doc.progress);
    if (doc.status === shownStatus) return;
    shownStatus = doc.status;
    buttons.replaceChildren(...buttonsOf(card, act));
  }

  update(batch);
  return card;
}

function buttonsOf(card, act) {
  const jobs = (statuses) => card.doc.items.map((item) => item.job).filter((job) => job && statuses.includes(job.status));
  if (!isFinal(card.doc)) {
    return [textButton("Cancel all", () => act.cancelAll(jobs(["queued", "running"])))];
  }
  const failed = jobs(["failed"]);
  return [
    ...(jobs(["succeeded"]).length ? [downloadLink(card.doc)] : []),
    ...(failed.length ? [textButton("Try failed again", () => act.redriveAll(failed))] : []),
    iconButton("trash", "Delete all of this batch", () => act.remove(jobs(["succeeded", "failed", "canceled"]), card.doc), "danger"),
  ];
}

/** Counts statuses and progress anew after an event changed one item. */
function recount(batch) {
  const counts = { total: batch.items.length, queued: 0, running: 0, succeeded: 0, failed: 0, canceled: 0 };
  let progress = 0;
  for (const { job } of batch.items) {
    counts[job?.status ?? "failed"] += 1;
    progress += !job || isFinal(job) ? 100 : job.progress ?? 0;
  }
  batch.counts = counts;
  batch.progress = progress / Math.max(1, counts.total);
  if (batch.status === "queued" && counts.queued < counts.total) batch.status = "running";
}

function createTile(first, currentBatch, act) {
  const name = el("p", { title: first.name }, first.name || `Item ${first.index + 1}`);
  const element = el("li", { class: "tile" });
  let tray = null;
  let shown = null;

  function update(item) {
    const status = item.job?.status ?? "rejected";
    if (tray && status === shown) {
      tray.update(item.job);
      return;
    }
    if (status === shown) return;
    element.classList.toggle("fresh", shown !== null && status === "succeeded");
    shown = status;
    tray = status === "queued" || status === "running" ? trayMedia(item.job) : null;
    element.replaceChildren(tray?.element ?? finalTile(item, currentBatch, act), name);
  }

  return { element, update };
}

function finalTile(item, currentBatch, act) {
  const [asset] = item.job?.outputs ?? [];
  const open = () => act.viewBatch(currentBatch(), item.index);
  if (asset) return pictureMedia({ asset, job: { ...item.job, name: item.name }, sizes: "18rem", onOpen: open });
  const problem = item.problem ?? item.job?.error;
  const canceled = item.job?.status === "canceled";
  const media = failedMedia(problem, { canceled });
  const why = canceled ? "canceled" : problem?.detail ?? problem?.title;
  const button = el("button", { type: "button", class: media.className, "aria-label": `Show why: ${item.name}: ${why}`, on: { click: open } });
  button.append(...media.childNodes);
  return button;
}

function downloadLink(batch) {
  const address = `v1/batches/${encodeURIComponent(batch.id)}/download?previews=true`;
  return el("a", { class: "quiet-button", href: address, download: "" }, "Download all");
}

function textButton(label, onClick) {
  return el("button", { type: "button", class: "quiet-button", on: { click: onClick } }, label);
}
