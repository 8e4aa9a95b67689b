/** Builds DOM nodes from plain data; text always lands in text nodes, never in markup. */

import { PATHS } from "./icons.js";

const SVG = "http://www.w3.org/2000/svg";

/**
 * Makes an element. `props` holds attributes, and the three special keys `class`, `on` (listeners
 * by event name) and `data` (dataset entries); an attribute that is null or false is left out.
 * @param {string} tag
 * @param {Record<string, any>} [props]
 * @param {...(Node | string | null | undefined | false)} children
 * @returns {HTMLElement}
 */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
    } else if (name === "data") {
      Object.assign(node.dataset, value);
    } else if (value !== null && value !== undefined && value !== false) {
      node.setAttribute(name, value === true ? "" : String(value));
    }
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** Makes one of the line icons of icons.js, hidden from screen readers. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  const attributes = {
    class: "icon", viewBox: "0 0 24 24", fill: "none", stroke: "currentColor",
    "stroke-width": "1.8", "stroke-linecap": "round", "stroke-linejoin": "round", "aria-hidden": "true",
  };
  for (const [key, value] of Object.entries(attributes)) svg.setAttribute(key, value);
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

/** Makes a square button that shows an icon and says `label`. */
export function iconButton(name, label, onClick, extra = "") {
  return el("button", {
    type: "button", class: `icon-button ${extra}`.trim(), title: label, "aria-label": label,
    on: { click: onClick },
  }, icon(name));
}

/** Makes a progress bar; set it with `setProgress`. */
export function progressBar(label) {
  return el("div", {
    class: "progress", role: "progressbar", "aria-label": label,
    "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": 0,
  }, el("span"));
}

/** Moves a bar made by `progressBar` to a percentage. */
export function setProgress(bar, percent) {
  const value = Math.max(0, Math.min(100, Math.round(Number(percent) || 0)));
  bar.setAttribute("aria-valuenow", String(value));
  bar.firstElementChild.style.transform = `scaleX(${value / 100})`;
}
