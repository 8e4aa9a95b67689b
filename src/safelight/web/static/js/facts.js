/** Lays out what is known of an asset: size, colors, how it was made, EXIF, mesh. */

import { el } from "./dom.js";
import { bytes, count, duration, moment } from "./format.js";

const UNIT = /_(m|s)$/;
const HEX = /^#[0-9a-f]{6}$/i;
const NAMES = {
  bounding_box_m: "Size in space", has_alpha: "Transparency", has_icc: "Color profile",
  color_space: "Color space", n: "How many", next_step: "Next step",
};
// Shown elsewhere, or meant for machines.
const HIDDEN = new Set([
  "note", "colors", "exif", "format", "perceptual_hash", "orientation", "has_location", "frames",
  "depth",
]);
const MOST_ROWS = 24;

/** The sections of facts about an asset and the job that made it. */
export function factSections(asset, job) {
  const facts = asset.facts ?? {};
  return [
    paletteSection(facts.colors),
    section("Details", [...basics(asset, job), ...rows(facts)]),
    section("Settings", rows(job.params ?? {}, (key) => key in facts)),
    section("From the camera", rows(facts.exif ?? {})),
  ].filter(Boolean);
}

const FORMATS = {
  "image/png": "PNG", "image/jpeg": "JPEG", "image/webp": "WebP", "image/avif": "AVIF", "image/gif": "GIF",
  "image/tiff": "TIFF", "model/gltf-binary": "GLB",
};

function basics(asset, job) {
  const took = (new Date(job.finished_at) - new Date(job.started_at)) / 1000;
  return [
    ["Size", asset.width ? `${asset.width} × ${asset.height}` : null],
    ["File", [FORMATS[asset.media_type] ?? asset.media_type, bytes(asset.bytes)].filter(Boolean).join(", ")],
    ["Drawn", listed(asset.facts?.recognized)],
    ["Not understood", listed(asset.facts?.unrecognized)],
    ["Model", asset.model || job.model],
    ["Made", moment(asset.created_at)],
    ["Took", job.started_at ? duration(took) : null],
    ["Cost", money(job.cost_micros)],
  ].filter(([, value]) => value);
}

/** The words of a fact that is a list of them, such as what a model understood of a prompt. */
export function listed(words) {
  return Array.isArray(words) ? words.filter((word) => typeof word === "string").join(", ") : "";
}

function money(micros) {
  if (micros === 0) return "free";
  return Number.isFinite(micros) ? (micros / 1_000_000).toFixed(4) : null;
}

function rows(values, saidAlready = (key) => HIDDEN.has(key)) {
  return Object.entries(values)
    .filter(([key]) => !saidAlready(key))
    .map(([key, value]) => [nameOf(key), wordsOf(key, value)])
    .filter(([, value]) => value)
    .slice(0, MOST_ROWS);
}

function nameOf(key) {
  const spaced = key.replace(UNIT, "").replaceAll("_", " ").replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase();
  return NAMES[key] ?? spaced.charAt(0).toUpperCase() + spaced.slice(1);
}

/** A value in words, with the unit that its key ends in. */
function wordsOf(key, value) {
  const said = words(key.startsWith("has_") ? Boolean(value) : value);
  const unit = UNIT.exec(key)?.[1];
  return said && unit ? `${said} ${unit}` : said;
}

function words(value) {
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "number") return number(value);
  if (typeof value === "string") return value;
  if (Array.isArray(value) && value.every((one) => typeof one === "number")) return value.map(number).join(" × ");
  return null; // nested lists and objects are for the API's readers
}

function number(value) {
  if (!Number.isInteger(value)) return String(Math.round(value * 1000) / 1000);
  return Math.abs(value) >= 10_000 && Math.abs(value) < 10_000_000 ? count(value) : String(value);
}

function section(title, entries) {
  if (entries.length === 0) return null;
  return el("section", {}, el("h3", {}, title),
    el("dl", {}, ...entries.flatMap(([key, value]) => [el("dt", {}, key), el("dd", {}, value)])));
}

function paletteSection(palette) {
  const colors = (palette ?? []).filter((color) => HEX.test(color));
  if (colors.length === 0) return null;
  const swatches = colors.map((color) => {
    const swatch = el("span", { title: color });
    swatch.style.background = color;
    return swatch;
  });
  return el("section", {}, el("h3", {}, "Colors"),
    el("div", { class: "swatches", role: "img", "aria-label": `Colors: ${colors.join(", ")}` }, ...swatches));
}
