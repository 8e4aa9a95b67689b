/** The upper part of a card or tile: a picture, a tray in which one develops, or what went wrong. */

import { el, icon, progressBar, setProgress } from "./dom.js";
import { kindOf, makerOf, stageText, titleOf } from "./labels.js";
import { safeUrl } from "./urls.js";

const TALL = 0.85;

/** The picture that stands for an asset, small and large: `{src, srcset, width, height}`. */
export function pictureOf(asset) {
  const found = ["thumb", "preview"]
    .map((name) => asset.renditions?.[name])
    .filter((rendition) => rendition && safeUrl(rendition.url));
  if (asset.kind === "image" && safeUrl(asset.url)) found.push(asset);
  if (found.length === 0) return null;
  const wide = found.filter((rendition) => rendition.width);
  return {
    src: safeUrl(found[0].url),
    srcset: wide.length > 1 ? wide.map((one) => `${safeUrl(one.url)} ${one.width}w`).join(", ") : null,
    width: found[0].width || 512,
    height: found[0].height || 512,
  };
}

/** A button that shows an asset and opens it. */
export function pictureMedia({ asset, job, sizes, onOpen }) {
  const model = asset.kind === "model_3d";
  const title = titleOf(job);
  const picture = pictureOf(asset);
  const whole = model || asset.width / asset.height < TALL; // cropping would take too much of it
  const button = el("button", {
    type: "button", class: whole ? "media whole" : "media",
    "aria-label": `Open ${model ? "3D model" : "picture"}: ${title}`, on: { click: onOpen },
  });
  const tint = averageColor(asset.placeholder);
  if (tint) button.style.backgroundColor = tint;
  if (picture) button.append(el("img", { ...picture, sizes, alt: title, loading: "lazy", decoding: "async" }));
  return button;
}

/** The label on a picture: what kind of thing it is and who made it. */
export function makerChip(asset, job) {
  const kind = kindOf(job);
  return el("div", { class: "chips" }, el("span", { class: "chip" }, icon(kind.icon), makerOf(asset, job) || kind.word));
}

/** A tray for work in progress: `{element, update(job)}`. */
export function trayMedia(job) {
  const number = el("span");
  const percent = el("p", { class: "percent" }, number, el("small", {}, "%"));
  const stage = el("p", { class: "stage" });
  const bar = progressBar(`Progress of ${titleOf(job)}`);
  const rough = el("img", { class: "rough", alt: "", hidden: true });
  const element = el("div", { class: "media tray" }, rough, percent, stage, bar);

  function update(now) {
    const waiting = now.status === "queued";
    element.classList.toggle("waiting", waiting);
    percent.hidden = waiting;
    number.textContent = String(Math.round(now.progress ?? 0));
    stage.textContent = stageText(now);
    bar.setAttribute("aria-valuetext", `${Math.round(now.progress ?? 0)} percent, ${stageText(now)}`);
    setProgress(bar, waiting ? 0 : now.progress);
    if (now.preview && rough.src !== now.preview) {
      rough.src = now.preview;
      rough.hidden = false;
    }
  }

  update(job);
  return { element, update };
}

/** What stands in place of a picture that did not come to be. */
export function failedMedia(problem, { canceled = false } = {}) {
  const title = canceled ? "Canceled" : problem?.title || "It failed";
  const detail = canceled ? null : problem?.detail;
  return el("div", { class: canceled ? "media failed-media canceled" : "media failed-media" },
    icon(canceled ? "stop" : "warning"),
    el("strong", {}, title),
    detail && detail !== title && el("p", { title: detail }, detail));
}

/** The mean color that a ThumbHash carries in its first three bytes (evanw.github.io/thumbhash). */
function averageColor(placeholder) {
  if (!placeholder) return null;
  const [low, middle, high] = Array.from(atob(placeholder.slice(0, 4)), (char) => char.charCodeAt(0));
  const header = low | (middle << 8) | (high << 16);
  const light = (header & 63) / 63;
  const yellowBlue = ((header >> 6) & 63) / 31.5 - 1;
  const redGreen = ((header >> 12) & 63) / 31.5 - 1;
  const blue = light - (2 / 3) * yellowBlue;
  const red = (3 * light - blue + redGreen) / 2;
  const channel = (value) => Math.round(Math.max(0, Math.min(1, value)) * 255);
  return `rgb(${channel(red)} ${channel(red - redGreen)} ${channel(blue)})`;
}
