/** Names jobs, batches and assets in the words of the page. */

import { duration, plural } from "./format.js";
import { safeUrl } from "./urls.js";

const KINDS = {
  text_to_image: { word: "Picture", icon: "picture" },
  image_to_image: { word: "From pictures", icon: "picture" },
  import_image: { word: "Import", icon: "incoming" },
  image_to_3d: { word: "3D model", icon: "cube" },
};

/** The filters of the results, by the API's `kind`. */
export const FILTERS = [
  ["", "All"],
  ["text_to_image", "From text"],
  ["image_to_image", "From pictures"],
  ["import_image", "Imports"],
  ["image_to_3d", "3D models"],
];

const FINAL = new Set(["succeeded", "failed", "canceled", "partial"]);

export const isFinal = (document) => FINAL.has(document.status);
export const isBatch = (document) => Array.isArray(document.items);
export const kindOf = (document) => KINDS[document.kind] ?? { word: document.kind, icon: "picture" };

/** What a job is about: its prompt, its file's name or the address it came from. */
export function titleOf(job) {
  if (job.prompt) return job.prompt;
  if (job.name) return job.name;
  const url = safeUrl(job.source_url);
  return url ? url.replace(/^https?:\/\//, "") : kindOf(job).word;
}

/** "4 pictures to 3D" */
export function batchTitle(batch) {
  if (batch.name) return batch.name;
  const pictures = plural(batch.counts.total, "picture");
  return batch.kind === "image_to_3d" ? `${pictures} to 3D` : `Import of ${pictures}`;
}

/** "3 done · 1 failed · 2 to go" */
export function countsText({ counts }) {
  const parts = [
    [counts.succeeded, "done"], [counts.failed, "failed"], [counts.canceled, "canceled"],
    [counts.queued + counts.running, "to go"],
  ];
  return parts.filter(([number]) => number > 0).map(([number, word]) => `${number} ${word}`).join(" · ");
}

/** What a job that is not finished is doing right now. */
export function stageText(job) {
  if (job.status === "queued") return queueText(job);
  return `${sentence(job.stage || "working")}${leftText(job)}`;
}

function queueText(job) {
  if (job.stage?.startsWith("no worker")) return sentence(job.stage);
  if (job.queue_position === 0) return "Next in the queue";
  if (job.queue_position > 0) return `${plural(job.queue_position, "job")} ahead in the queue`;
  return sentence(job.stage || "queued");
}

function leftText({ ends_at }) {
  const seconds = Math.round((ends_at - Date.now()) / 1000);
  return seconds >= 2 ? ` · about ${duration(seconds)} left` : "";
}

/** Adds `ends_at`, the time on our clock that the server's estimate stands for. */
export function withEnd(job) {
  return Number.isFinite(job.eta_s) ? { ...job, ends_at: Date.now() + job.eta_s * 1000 } : job;
}

function sentence(words) {
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** Who made it, as the maker itself says: "sketch · no AI model". */
export function makerOf(asset, job) {
  const note = asset?.facts?.note;
  return typeof note === "string" && note ? note : asset?.provider || job?.provider || job?.model || "";
}
