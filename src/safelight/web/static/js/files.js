/** Takes pictures by drop, paste or file dialog, and checks what can be checked before sending. */

import { el, icon } from "./dom.js";
import { bytes } from "./format.js";

const TYPES = new Set(["image/png", "image/jpeg", "image/webp"]);
const NAMES = /\.(png|jpe?g|webp)$/i;
const MOST_BYTES = 10 * 1024 * 1024;

/** Says why a file would be refused, or null; the server's answer decides. */
export function faultOf(file) {
  if (!TYPES.has(file.type) && !(file.type === "" && NAMES.test(file.name))) return "Not a PNG, JPEG or WebP";
  if (file.size === 0) return "The file is empty";
  if (file.size > MOST_BYTES) return `${bytes(file.size)}: over 10 MiB`;
  return null;
}

/** Lets pictures be dropped on `zone`, pasted while it is visible, and chosen by its buttons. */
export function takeFiles(zone, onFiles) {
  const input = zone.querySelector("input[type=file]");
  let depth = 0; // dragenter and dragleave also come from children

  const carriesFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  const enter = (by) => (event) => {
    if (!carriesFiles(event)) return;
    depth = Math.max(0, depth + by);
    zone.classList.toggle("over", depth > 0);
  };
  const hand = (list) => {
    const files = [...(list ?? [])];
    if (files.length) onFiles(files);
    return files.length > 0;
  };

  zone.querySelector("[data-browse]").addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    hand(input.files);
    input.value = "";
  });
  zone.addEventListener("dragenter", enter(1));
  zone.addEventListener("dragleave", enter(-1));
  zone.addEventListener("dragover", (event) => carriesFiles(event) && event.preventDefault());
  zone.addEventListener("drop", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    depth = 0;
    zone.classList.remove("over");
    hand(event.dataTransfer.files);
  });
  document.addEventListener("paste", (event) => {
    if (zone.offsetParent === null || document.querySelector("dialog[open]")) return;
    if (hand(event.clipboardData?.files)) event.preventDefault();
  });
}

/** A file dropped beside the zones would replace the page; it does nothing instead. */
export function guardStrayDrops() {
  for (const type of ["dragover", "drop"]) {
    window.addEventListener(type, (event) => {
      if ([...(event.dataTransfer?.types ?? [])].includes("Files")) event.preventDefault();
    });
  }
}

const blank = () => el("div", { class: "pick-picture" });

/** A small picture with a name and a button to take it away again: `{element, mark(state, words)}`. */
export function createPick(file, onRemove) {
  const address = URL.createObjectURL(file);
  const caption = el("p", { title: file.name }, file.name);
  const remove = () => {
    URL.revokeObjectURL(address);
    element.remove();
    onRemove();
  };
  const shown = faultOf(file) === null;
  const picture = shown ? el("img", { class: "pick-picture", src: address, alt: "" }) : blank();
  const element = el("li", { class: "pick" }, picture, caption,
    el("button", { type: "button", "aria-label": `Remove ${file.name}`, on: { click: remove } }, icon("close")));
  picture.addEventListener("error", () => picture.replaceWith(blank()), { once: true });

  function mark(state, words = file.name) {
    element.className = state ? `pick ${state}` : "pick";
    caption.textContent = words;
    caption.title = words;
  }

  return { element, mark, remove };
}
