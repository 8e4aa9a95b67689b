/** The prompt form: words, reference pictures, shape and the model's own options. */

import { api } from "./api.js";
import { el, icon } from "./dom.js";
import { takeFiles } from "./files.js";
import { fillModels, startForm } from "./forms.js";
import { drawParams } from "./params.js";
import { createReferences } from "./references.js";
import { toast } from "./toast.js";

const SHAPES = [
  ["1:1", "Square", "1024x1024"], ["3:2", "Landscape", "1216x832"], ["16:9", "Wide", "1344x768"],
  ["2:3", "Portrait", "832x1216"], ["9:16", "Tall", "768x1344"],
];
// Fields that `POST /v1/generate` takes beside the model's own params.
const TOP_LEVEL = new Set(["n", "size", "seed", "format", "negative_prompt"]);
// Decided by the shape buttons.
const SHAPED = new Set(["aspect_ratio"]);
const EXAMPLES = [
  "A red cat playing guitar", "An astronaut riding a horse", "Three dolphins at sunset",
  "Two rabbits in a snowy forest",
];

/** Starts the form; gives `{useModels(models), addReference(asset), canRefer()}`. */
export function startGenerate({ form, examples, onSubmitted, onShown }) {
  const prompt = form.elements.prompt;
  const browse = form.querySelector("[data-browse]");
  const shapes = form.querySelector("[data-shapes]");
  const references = createReferences({ list: form.querySelector("[data-picks]"), onChange: offerModels });
  let models = [];
  let model = null;
  let offered = null; // the kind of job whose models are on offer
  let readParams = () => ({});

  function wish() {
    const given = Object.entries(readParams());
    const top = Object.fromEntries(given.filter(([name]) => TOP_LEVEL.has(name)));
    const params = Object.fromEntries(given.filter(([name]) => !TOP_LEVEL.has(name)));
    const ids = references.ids();
    return {
      prompt: prompt.value.trim(), model: model?.id, ...shape(), ...top, params,
      ...(ids.length && { references: ids }),
    };
  }

  /** The shape in the terms that the model knows; a size given in the options comes first. */
  function shape() {
    const ratio = form.elements.shape.value;
    if (shapes.hidden || form.elements.size?.value) return {};
    if ("aspect_ratio" in propertiesOf(model)) return { aspect_ratio: ratio };
    return { size: SHAPES.find(([one]) => one === ratio)[2] };
  }

  function useModel(chosen) {
    model = chosen;
    shapes.hidden = !["aspect_ratio", "size"].some((name) => name in propertiesOf(chosen));
    readParams = drawParams(form.querySelector("[data-fields]"), chosen.params_schema, SHAPED);
  }

  /** Offers the models that fit: with references, those that start from pictures. */
  function offerModels() {
    const kind = references.some() ? "image_to_image" : "text_to_image";
    if (kind === offered) return; // what the person chose and filled in stays
    offered = kind;
    fillModels(form, models.filter((one) => one.kinds.includes(kind)), useModel);
  }

  async function submit(key) {
    if (references.busy()) toast("A reference is still being uploaded.");
    else await onSubmitted(await api.generate(wish(), key));
  }

  fillChoices({ shapes, browse, examples, prompt });
  takeFiles(form, (files) => {
    if (browse.hidden) toast("No model here works from pictures.", { bad: true });
    else files.forEach(references.upload);
  });
  startForm(form, { describe: () => JSON.stringify(wish()), submit });

  return {
    canRefer: () => !browse.hidden,
    addReference(asset) {
      onShown();
      references.addAsset(asset);
      prompt.focus();
    },
    useModels(all) {
      models = all;
      offered = null;
      browse.hidden = !all.some((one) => one.kinds.includes("image_to_image"));
      offerModels();
    },
  };
}

const propertiesOf = (model) => model?.params_schema?.properties ?? {};

function fillChoices({ shapes, browse, examples, prompt }) {
  shapes.append(...SHAPES.map(([ratio, name], index) => shapeButton(ratio, name, index === 0)));
  browse.append(icon("plus"), "Reference");
  const use = (words) => () => {
    prompt.value = words;
    prompt.focus();
  };
  examples.append(...EXAMPLES.map((words) => el("button", { type: "button", on: { click: use(words) } }, words)));
}

function shapeButton(ratio, name, checked) {
  const [width, height] = ratio.split(":").map(Number);
  const scale = 15 / Math.max(width, height);
  const label = `${name}, ${ratio}`;
  const drawing = el("span", { class: "shape" });
  drawing.style.width = `${Math.round(width * scale)}px`;
  drawing.style.height = `${Math.round(height * scale)}px`;
  const input = el("input", { class: "sr-only", type: "radio", name: "shape", value: ratio, checked, "aria-label": label });
  return el("label", { title: label }, input, drawing);
}
