/** The card of one job, in each of its states. */

import { el, iconButton } from "./dom.js";
import { listed } from "./facts.js";
import { ago } from "./format.js";
import { isFinal, titleOf } from "./labels.js";
import { failedMedia, makerChip, pictureMedia, trayMedia } from "./media.js";
import { safeUrl } from "./urls.js";

const WIDE = 1.45;

/** Makes a card: `{element, doc, update(doc)}`. `act` is what actions.js makes. */
export function createCard(job, act) {
  const element = el("li", { class: "card", data: { job: job.id } });
  const card = { element, doc: job, update };
  let tray = null;

  function update(doc) {
    const before = card.doc;
    card.doc = doc;
    if (tray && !isFinal(doc) && before.status === doc.status) {
      tray.update(doc);
      return;
    }
    const watched = tray !== null;
    const focused = element.contains(document.activeElement);
    tray = isFinal(doc) ? null : trayMedia(doc);
    element.classList.toggle("wide", isWide(doc));
    element.classList.toggle("fresh", watched && doc.status === "succeeded");
    element.replaceChildren(tray?.element ?? finalMedia(doc, act), body(doc, act));
    if (focused) element.querySelector("button")?.focus();
  }

  update(job);
  return card;
}

function isWide(job) {
  const [first] = job.outputs;
  return job.outputs.length === 1 && first.kind === "image" && first.width / first.height > WIDE;
}

function finalMedia(job, act) {
  if (job.status !== "succeeded") return failedMedia(job.error, { canceled: job.status === "canceled" });
  const outputs = job.outputs.slice(0, 4);
  const sizes = isWide(job) ? "34rem" : "17rem";
  const buttons = outputs.map((asset, index) =>
    pictureMedia({ asset, job, sizes, onOpen: () => act.view([job], index) }));
  if (buttons.length === 0) return failedMedia({ title: "The result was deleted" });
  const mosaic = { 1: "framed", 2: "framed mosaic two" }[buttons.length] ?? "framed mosaic";
  return el("div", { class: mosaic }, ...buttons, makerChip(outputs[0], job));
}

function body(job, act) {
  const title = titleOf(job);
  const facts = job.outputs[0]?.facts ?? {};
  const missed = listed(facts.unrecognized);
  return el("div", { class: "card-body" },
    el("h3", { class: "card-title", title }, title),
    el("p", { class: "card-meta" }, ...meta(job)),
    missed && el("p", { class: "card-meta" }, `Not understood: ${missed}`),
    facts.next_step && el("p", { class: "card-meta" }, `Low quality. ${facts.next_step}`),
    el("div", { class: "card-actions" }, ...buttonsOf(job, act)));
}

function meta(job) {
  const [first] = job.outputs;
  const size = first?.width ? `${first.width} × ${first.height}` : null;
  return [
    el("time", { datetime: job.created_at, "data-ago": true }, ago(job.created_at)),
    job.outputs.length > 1 && el("span", {}, `${job.outputs.length} pictures`),
    size && el("span", {}, size),
  ];
}

function buttonsOf(job, act) {
  if (!isFinal(job)) return [textButton("Cancel", () => act.cancel(job))];
  const remove = iconButton("trash", "Delete", () => act.remove([job]), "danger");
  const spacer = el("span", { class: "spacer" });
  if (job.status !== "succeeded") return [textButton("Try again", () => act.redrive(job)), spacer, remove];
  const [first] = job.outputs;
  return [...(first ? assetButtons(first, act) : []), iconButton("again", "Run again", () => act.again(job)), spacer, remove];
}

/** Open, copy link and download of one asset. */
function assetButtons(asset, act) {
  return [
    iconLink("open", "Open in a new tab", safeUrl(asset.url), { target: "_blank" }),
    iconButton("link", "Copy the permanent link", () => act.copyLink(asset)),
    iconLink("download", "Download", safeUrl(asset.download_url), { download: true }),
  ].filter(Boolean);
}

function iconLink(name, label, href, extra) {
  if (!href) return null;
  const link = el("a", { class: "icon-button", href, rel: "noopener", title: label, "aria-label": label, ...extra });
  link.append(...iconButton(name, label, null).childNodes);
  return link;
}

function textButton(label, onClick) {
  return el("button", { type: "button", class: "quiet-button", on: { click: onClick } }, label);
}
