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
  const left = Number.isFinite(job.eta_s) && job.eta_s >= 1 ? ` · ${duration(job.eta_s)} left` : "";
  return `${sentence(job.stage || "working")}${left}`;
}

function queueText(job) {
  if (job.stage) return sentence(job.stage);
  if (job.attempts > 0) return "Waiting to try again";
  return job.queue_position > 1 ? `Number ${job.queue_position} in the queue` : "Next in the queue";
}

function sentence(words) {
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** Who made it, as the maker itself says: "sketch · no AI model". */
export function makerOf(asset, job) {
  const note = asset?.facts?.note;
  return typeof note === "string" && note ? note : asset?.provider || job?.provider || job?.model || "";
}
