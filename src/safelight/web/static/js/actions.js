/** What one can do with a job: watch, cancel, try again, run anew, share, delete. */

import { api } from "./api.js";
import { plural } from "./format.js";
import { copyText, toast, toastError } from "./toast.js";
import { safeUrl } from "./urls.js";

/**
 * Makes the actions that cards and the viewer offer.
 * @param {{ put: (doc: object) => void, hide: (id: string) => void, unhide: (doc: object) => void,
 *   viewer: object }} parts
 */
export function createActions({ put, hide, unhide, viewer }) {
  const pending = new Set(); // deletions that can still be undone
  window.addEventListener("pagehide", () => {
    for (const close of [...pending]) close();
  });

  /** Does something to each job in turn and shows what became of it. */
  async function each(jobs, change) {
    try {
      for (const job of jobs) {
        await change(job.id);
        put(await api.job(job.id));
      }
    } catch (failure) {
      toastError(failure);
    }
  }

  async function again(job) {
    try {
      put(await repeat(job));
      toast("Running again");
    } catch (failure) {
      toastError(failure);
    }
  }

  /** Hides results at once, and deletes them when the time to undo that is over. */
  function remove(jobs, batch = null) {
    const shown = batch ? [batch] : jobs;
    const back = () => shown.forEach(unhide);
    const done = (then) => () => {
      pending.delete(close);
      then();
    };
    for (const doc of shown) hide(doc.id);
    viewer.close();
    const close = toast(`${plural(jobs.length, "result")} deleted`, {
      undo: done(back),
      then: done(() => Promise.all(jobs.map((job) => api.remove(job.id))).catch((failure) => {
        back();
        toastError(failure);
      })),
    });
    pending.add(close);
  }

  const actions = {
    cancel: (job) => each([job], api.cancel),
    cancelAll: (jobs) => each(jobs, api.cancel),
    redrive: (job) => each([job], api.redrive),
    redriveAll: (jobs) => each(jobs, api.redrive),
    again,
    remove,
    copyLink: (asset) => copyText(safeUrl(asset.url) ?? ""),
    view: (jobs, index) => viewer.show(jobs.flatMap(itemsOf), index, actions),
    viewBatch: (batch, index) => viewer.show(batch.items.flatMap(itemsOfBatch), position(batch, index), actions),
  };
  return actions;
}

function itemsOf(job) {
  return job.outputs.map((asset) => ({ asset, job, problem: null }));
}

function itemsOfBatch({ name, job, problem }) {
  if (job?.outputs.length) return itemsOf({ ...job, name });
  const why = problem ?? job?.error;
  return why ? [{ asset: null, job: job ? { ...job, name } : { name }, problem: why }] : [];
}

function position(batch, index) {
  return batch.items.filter((item) => item.index < index).flatMap(itemsOfBatch).length;
}

/** Submits the same job anew; pictures get another seed, or the same one would come out. */
async function repeat(job) {
  if (job.kind === "import_image") return api.importUrls([job.source_url]);
  const { seed: _seed, ...params } = job.params; // left out, another one is drawn
  const sources = (role) => job.inputs.filter((input) => input.role === role).map((input) => input.source);
  const given = { references: sources("reference"), mask: sources("mask")[0] };
  const references = job.inputs.length ? given : {};
  return api.generate({ prompt: job.prompt, model: job.model, params, ...references });
}
