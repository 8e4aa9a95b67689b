/** The 3D form: up to 25 pictures, each of which becomes a model. */

import { api, Problem } from "./api.js";
import { plural } from "./format.js";
import { createPick, faultOf, takeFiles } from "./files.js";
import { fillModels, startForm } from "./forms.js";
import { drawParams } from "./params.js";
import { toast } from "./toast.js";
import { safeUrl } from "./urls.js";

const MOST_FILES = 25;
const FETCH_MS = 60_000;

/** Starts the form; gives `{useModels(models), addAsset(asset)}`. */
export function startModel3d({ form, onSubmitted, onShown }) {
  const picks = form.querySelector("[data-picks]");
  const button = form.querySelector("button[type=submit]");
  const hint = form.querySelector("[data-count]");
  const chosen = new Map(); // file -> pick
  const refused = new WeakSet(); // files that the server would not take
  let model = null;
  let readParams = () => ({});

  const good = () => [...chosen.keys()].filter((file) => faultOf(file) === null && !refused.has(file));

  function draw() {
    const sendable = good().length;
    const left = chosen.size - sendable;
    picks.hidden = chosen.size === 0;
    button.disabled = sendable === 0;
    hint.textContent = chosen.size === 0 ? "" : plural(sendable, "picture") + (left ? `, ${left} left out` : "");
  }

  function add(files) {
    const room = MOST_FILES - chosen.size;
    if (files.length > room) toast(`At most ${MOST_FILES} pictures at a time; the first ${MOST_FILES} were taken.`, { bad: true });
    for (const file of files.slice(0, Math.max(0, room))) {
      const pick = createPick(file, () => { chosen.delete(file); draw(); });
      const fault = faultOf(file);
      if (fault) pick.mark("bad", `${file.name}: ${fault}`);
      chosen.set(file, pick);
      picks.append(pick.element);
    }
    draw();
  }

  function clear() {
    for (const pick of [...chosen.values()]) pick.remove();
    draw();
  }

  /** Marks the files that the server found fault with; pressing again sends the others. */
  function markRefused(files, errors) {
    for (const { field, message } of errors) {
      const file = files[Number(/^files\.(\d+)$/.exec(field)?.[1])];
      if (!file) continue;
      refused.add(file);
      chosen.get(file)?.mark("bad", `${file.name}: ${message}`);
    }
    draw();
  }

  async function send(key) {
    const files = good();
    try {
      onSubmitted(await api.makeModels(files, { model: model?.id, params: readParams() }, key));
      clear();
    } catch (failure) {
      if (failure instanceof Problem) markRefused(files, failure.errors);
      throw failure;
    }
  }

  async function addAsset(asset) {
    onShown();
    const answer = await fetch(safeUrl(asset.url), { signal: AbortSignal.timeout(FETCH_MS) });
    const extension = asset.media_type.split("/")[1];
    const name = (asset.name || asset.prompt || "picture").slice(0, 60);
    add([new File([await answer.blob()], `${name}.${extension}`, { type: asset.media_type })]);
  }

  takeFiles(form, add);
  startForm(form, {
    describe: () => JSON.stringify([good().map((file) => [file.name, file.size, file.lastModified]), model?.id, readParams()]),
    submit: send,
  });

  return {
    addAsset: (asset) => addAsset(asset).catch(() => toast("The picture could not be fetched.", { bad: true })),
    useModels(all) {
      fillModels(form, all.filter((one) => one.kinds.includes("image_to_3d")), (one) => {
        model = one;
        readParams = drawParams(form.querySelector("[data-fields]"), one.params_schema);
      });
    },
  };
}
