/** The reference pictures of a prompt: uploaded at once, shown small, sent by asset id. */

import { api } from "./api.js";
import { el, icon } from "./dom.js";
import { createPick, faultOf } from "./files.js";
import { toast, toastError } from "./toast.js";
import { safeUrl } from "./urls.js";

const MOST = 8;

/** Keeps references in `list`; `onChange` is called whenever one comes or goes. */
export function createReferences({ list, onChange }) {
  const entries = new Set(); // of {assetId: string | null}, null while it is uploading

  function changed() {
    list.hidden = entries.size === 0;
    onChange();
  }

  function add(element, entry) {
    entries.add(entry);
    list.append(element);
    changed();
  }

  function drop(entry) {
    entries.delete(entry);
    changed();
  }

  async function upload(file) {
    const fault = entries.size >= MOST ? `at most ${MOST} references` : faultOf(file);
    if (fault) {
      toast(`${file.name}: ${fault}`, { bad: true });
      return;
    }
    const entry = { assetId: null };
    const pick = createPick(file, () => drop(entry));
    pick.mark("busy", "Uploading…");
    add(pick.element, entry);
    try {
      entry.assetId = (await api.upload(file)).id;
      pick.mark("");
    } catch (failure) {
      pick.remove();
      toastError(failure, file.name);
    }
  }

  function addAsset(asset) {
    const entry = { assetId: asset.id };
    const remove = () => {
      drop(entry);
      element.remove();
    };
    const picture = safeUrl(asset.renditions?.thumb?.url ?? asset.url);
    const element = el("li", { class: "pick" },
      el("img", { class: "pick-picture", src: picture, alt: "" }),
      el("p", {}, asset.prompt || asset.name || "Reference"),
      el("button", { type: "button", "aria-label": "Remove this reference", on: { click: remove } }, icon("close")));
    add(element, entry);
  }

  return {
    upload,
    addAsset,
    ids: () => [...entries].map((entry) => entry.assetId).filter(Boolean),
    some: () => entries.size > 0,
    busy: () => [...entries].some((entry) => entry.assetId === null),
  };
}
