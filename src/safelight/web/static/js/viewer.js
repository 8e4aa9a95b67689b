/** The dialog that shows one result large, with its details and links to the previous and next. */

import { el, icon, iconButton } from "./dom.js";
import { factSections } from "./facts.js";
import { makerOf, titleOf } from "./labels.js";
import { failedMedia } from "./media.js";
import { showModel } from "./model-stage.js";
import { copyText } from "./toast.js";
import { safeUrl } from "./urls.js";

/** Makes the viewer over a `<dialog>`; `onReference` and `onMakeModel` get an asset to go on with. */
export function createViewer(dialog, { canRefer, onReference, onMakeModel }) {
  let items = [];
  let at = 0;
  let actions = null;

  function show(list, index, act) {
    if (list.length === 0) return;
    items = list;
    at = Math.min(Math.max(index, 0), list.length - 1);
    actions = act;
    draw();
    if (!dialog.open) dialog.showModal();
  }

  function close() {
    if (dialog.open) dialog.close();
  }

  function step(by) {
    at = (at + by + items.length) % items.length;
    draw();
    dialog.querySelector(by > 0 ? ".step.on" : ".step.back")?.focus();
  }

  function draw() {
    const item = items[at];
    const area = el("div", { class: "stage-area" });
    dialog.replaceChildren(area, item.asset ? assetFacts(item) : failureFacts(item));
    fill(area, item);
    if (items.length > 1) area.append(stepButton("back", "Previous", -1), stepButton("on", "Next", 1));
  }

  function stepButton(name, label, by) {
    return el("button", { type: "button", class: `step ${name}`, "aria-label": label, on: { click: () => step(by) } }, icon(name));
  }

  function assetFacts({ asset, job }) {
    const url = safeUrl(asset.url) ?? "";
    const maker = makerOf(asset, job);
    return el("aside", { class: "facts" }, head(titleOf(job)),
      maker && el("p", { class: "badge" }, maker),
      linkSection(url),
      ...factSections(asset, job),
      sourceSection(asset.source_url ?? job.source_url),
      el("div", { class: "facts-actions" },
        textLink("Download", safeUrl(asset.download_url), { download: true }),
        textLink("Open", url, { target: "_blank", rel: "noopener" }),
        ...goOnButtons(asset)));
  }

  function goOnButtons(asset) {
    if (asset.kind !== "image") return [];
    const use = (onward) => () => {
      close();
      onward(asset);
    };
    return [
      ...(canRefer() ? [textButton("Use as reference", use(onReference))] : []),
      textButton("Make 3D", use(onMakeModel)),
    ];
  }

  function failureFacts({ job, problem }) {
    const retry = () => {
      close();
      actions.redrive(job);
    };
    return el("aside", { class: "facts" }, head(titleOf(job)),
      el("p", {}, problem.detail || problem.title),
      el("div", { class: "facts-actions" }, job.id && textButton("Try again", retry)));
  }

  function head(title) {
    return el("div", { class: "facts-head" }, el("h2", { id: "viewer-title" }, title), iconButton("close", "Close", close));
  }

  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) close(); // the backdrop
  });
  dialog.addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (by && items.length > 1 && !event.target.closest("model-viewer, input")) step(by);
  });
  dialog.addEventListener("close", () => {
    if (!dialog.open) dialog.replaceChildren(); // frees the graphics memory
  });
  return { show, close };
}

function fill(area, { asset, job, problem }) {
  if (!asset) area.append(failedMedia(problem));
  else if (asset.kind === "model_3d") showModel(area, asset, titleOf(job));
  else area.append(el("img", { src: safeUrl(asset.url), width: asset.width, height: asset.height, alt: titleOf(job) }));
}

function linkSection(url) {
  const field = el("input", { id: "permanent-link", readonly: true, value: url, on: { focus: (event) => event.target.select() } });
  return el("section", {},
    el("h3", {}, el("label", { for: "permanent-link" }, "Permanent link")),
    el("div", { class: "link-row" }, field, iconButton("link", "Copy the permanent link", () => copyText(url))));
}

function sourceSection(source) {
  const url = safeUrl(source);
  if (!url) return null;
  return el("section", {}, el("h3", {}, "Came from"), textLinkPlain(url));
}

function textLinkPlain(url) {
  const link = el("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, url.replace(/^https?:\/\//, ""));
  link.style.overflowWrap = "anywhere";
  return link;
}

function textLink(label, href, extra) {
  return href ? el("a", { class: "quiet-button", href, ...extra }, label) : null;
}

function textButton(label, onClick) {
  return el("button", { type: "button", class: "quiet-button", on: { click: onClick } }, label);
}
