/** The prompt form: words, reference pictures, shape and the model's own options. */

import { api } from "./api.js";
import { el, icon } from "./dom.js";
import { createPick, faultOf, takeFiles } from "./files.js";
import { fillModels, startForm } from "./forms.js";
import { drawParams } from "./params.js";
import { toast, toastError } from "./toast.js";
import { mediaUrl } from "./urls.js";

const SHAPES = [
  ["1:1", "Square", "1024x1024"], ["3:2", "Landscape", "1216x832"], ["16:9", "Wide", "1344x768"],
  ["2:3", "Portrait", "832x1216"], ["9:16", "Tall", "768x1344"],
];
const MOST_REFERENCES = 8;
// Fields that `POST /v1/generate` takes beside the model's own params.
const TOP_LEVEL = new Set(["n", "size", "seed", "format", "negative_prompt"]);
// Decided by the shape buttons.
const SHAPED = new Set(["aspect_ratio"]);
const EXAMPLES = [
  "A red cat playing guitar", "An astronaut riding a horse", "Three dolphins at sunset",
  "Two rabbits in a snowy forest",
];

/** Starts the form; gives `{useModels(models), addReference(asset)}`. */
export function startGenerate({ form, examples, onSubmitted, onShown }) {
  const prompt = form.elements.prompt;
  const picks = form.querySelector("[data-picks]");
  const browse = form.querySelector("[data-browse]");
  const shapes = form.querySelector("[data-shapes]");
  const references = new Set(); // of {assetId: string | null}
  let models = [];
  let model = null;
  let readParams = () => ({});

  function wish() {
    const read = readParams();
    const known = Object.entries(read);
    const top = Object.fromEntries(known.filter(([name]) => TOP_LEVEL.has(name)));
    const params = Object.fromEntries(known.filter(([name]) => !TOP_LEVEL.has(name)));
    const ids = [...references].map((one) => one.assetId).filter(Boolean);
    return {
      prompt: prompt.value.trim(), model: model?.id, ...shape(), ...top, params,
      ...(ids.length && { references: ids }),
    };
  }

  /** The shape in the terms that the model knows; a size given in the options comes after it. */
  function shape() {
    const ratio = form.elements.shape.value;
    const properties = model?.params_schema?.properties ?? {};
    if (shapes.hidden || form.elements.size?.value) return {};
    if ("aspect_ratio" in properties) return { aspect_ratio: ratio };
    return { size: SHAPES.find(([one]) => one === ratio)[2] };
  }

  function useModel(chosen) {
    model = chosen;
    const properties = chosen.params_schema?.properties ?? {};
    shapes.hidden = !["aspect_ratio", "size"].some((name) => name in properties);
    readParams = drawParams(form.querySelector("[data-fields]"), chosen.params_schema, SHAPED);
    form.querySelector(".options").hidden = false;
  }

  function offer() {
    const kind = references.size ? "image_to_image" : "text_to_image";
    const fitting = models.filter((one) => one.kinds.includes(kind));
    const before = model?.id;
    fillModels(form, fitting, useModel);
    if (fitting.some((one) => one.id === before)) form.elements.model.value = before;
    form.elements.model.onchange?.();
    picks.hidden = references.size === 0;
  }

  function addReference(pick, entry) {
    references.add(entry);
    picks.append(pick.element);
    offer();
  }

  async function upload(file) {
    const fault = references.size >= MOST_REFERENCES ? `At most ${MOST_REFERENCES} references` : faultOf(file);
    if (fault) {
      toast(`${file.name}: ${fault}`, { bad: true });
      return;
    }
    const entry = { assetId: null };
    const pick = createPick(file, () => { references.delete(entry); offer(); });
    pick.mark("busy", "Uploading…");
    addReference(pick, entry);
    try {
      entry.assetId = (await api.upload(file)).id;
      pick.mark("");
    } catch (failure) {
      pick.remove();
      toastError(failure);
    }
  }

  function referTo(asset) {
    const entry = { assetId: asset.id };
    const picture = asset.renditions?.thumb?.url ?? asset.url;
    const remove = () => { references.delete(entry); element.remove(); offer(); };
    const element = el("li", { class: "pick" },
      el("img", { class: "pick-picture", src: mediaUrl(picture), alt: "" }),
      el("p", {}, asset.prompt || asset.name || "Reference"),
      el("button", { type: "button", "aria-label": "Remove this reference", on: { click: remove } }, icon("close")));
    onShown();
    addReference({ element }, entry);
    prompt.focus();
  }

  shapes.append(...SHAPES.map(([ratio, name], index) => shapeButton(ratio, name, index === 0)));
  browse.append(icon("plus"), "Reference");
  examples.append(...EXAMPLES.map((words) => el("button", {
    type: "button", on: { click: () => { prompt.value = words; prompt.focus(); } },
  }, words)));
  takeFiles(form, (files) => {
    if (browse.hidden) toast("No model here works from pictures.", { bad: true });
    else files.forEach(upload);
  });
  startForm(form, {
    describe: () => JSON.stringify(wish()),
    submit: async (key) => onSubmitted(await api.generate(wish(), key)),
  });

  return {
    addReference: referTo,
    canRefer: () => !browse.hidden,
    useModels(all) {
      models = all;
      browse.hidden = !all.some((one) => one.kinds.includes("image_to_image"));
      offer();
    },
  };
}

function shapeButton(ratio, name, checked) {
  const [width, height] = ratio.split(":").map(Number);
  const scale = 15 / Math.max(width, height);
  const drawing = el("span", { class: "shape" });
  drawing.style.width = `${Math.round(width * scale)}px`;
  drawing.style.height = `${Math.round(height * scale)}px`;
  return el("label", { title: `${name}, ${ratio}` },
    el("input", { class: "sr-only", type: "radio", name: "shape", value: ratio, checked, "aria-label": `${name}, ${ratio}` }),
    drawing);
}
