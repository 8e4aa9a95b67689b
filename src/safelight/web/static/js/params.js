/** Makes form fields from a model's JSON Schema of params, and reads them back. */

import { el } from "./dom.js";

const LABELS = { n: "How many", format: "File format" };
const WIDE_TEXT = new Set(["negative_prompt"]);

/**
 * Fills `box` with fields for the properties of `schema`; `skip` names those shown elsewhere.
 * @returns {() => Record<string, unknown>} reads the values that differ from the defaults
 */
export function drawParams(box, schema, skip = new Set()) {
  const entries = Object.entries(schema?.properties ?? {}).filter(([name]) => !skip.has(name));
  const fields = entries.map(([name, rule]) => makeField(name, rule)).filter(Boolean);
  box.replaceChildren(...fields.map((field) => field.element));
  return () => {
    const values = {};
    for (const { name, read } of fields) {
      const value = read();
      if (value !== undefined) values[name] = value;
    }
    return values;
  };
}

function makeField(name, rule) {
  const type = typeOf(rule);
  if (rule.enum) return choice(name, rule);
  if (type === "boolean") return check(name, rule);
  if (type === "integer" || type === "number") return numberField(name, rule, type);
  if (type === "string") return textField(name, rule);
  return null; // lists and objects: only by API
}

/** `["integer", "null"]` and `anyOf` with null both mean "may be left out". */
function typeOf(rule) {
  const options = [rule.type ?? (rule.anyOf ?? []).map((one) => one.type)].flat();
  return options.find((type) => type !== "null");
}

function bounds(rule) {
  const inner = (rule.anyOf ?? []).find((one) => one.type && one.type !== "null") ?? {};
  return { ...inner, ...rule };
}

function labelOf(name, rule) {
  const plain = name.replaceAll("_", " ").replace(/^./, (first) => first.toUpperCase());
  return rule.title ?? LABELS[name] ?? plain;
}

function labelled(name, rule, input, extra = "") {
  const help = rule.description && el("small", {}, rule.description);
  return el("label", { class: `field ${extra}`.trim() }, el("span", {}, labelOf(name, rule)), input, help);
}

function choice(name, rule) {
  const select = el("select", { name },
    ...(rule.default === undefined ? [el("option", { value: "" }, "automatic")] : []),
    ...rule.enum.filter((one) => one !== null).map((one) =>
      el("option", { value: JSON.stringify(one), selected: one === rule.default }, String(one))));
  const read = () => {
    if (select.value === "") return undefined;
    const value = JSON.parse(select.value);
    return value === rule.default ? undefined : value;
  };
  return { name, read, element: labelled(name, rule, select) };
}

function check(name, rule) {
  const input = el("input", { type: "checkbox", name, checked: rule.default === true });
  const words = el("span", { title: rule.description }, labelOf(name, rule));
  const read = () => (input.checked === (rule.default === true) ? undefined : input.checked);
  return { name, read, element: el("label", { class: "field check" }, input, words) };
}

function numberField(name, rule, type) {
  const { minimum, maximum, default: usual } = bounds(rule);
  const input = el("input", {
    type: "number", name, min: minimum, max: maximum, step: type === "integer" ? 1 : "any",
    placeholder: usual ?? (name === "seed" ? "random" : "automatic"), inputmode: type === "integer" ? "numeric" : "decimal",
  });
  const read = () => (input.value === "" ? undefined : Number(input.value));
  return { name, read, element: labelled(name, rule, input) };
}

function textField(name, rule) {
  const { pattern, maxLength, default: usual } = bounds(rule);
  const input = el("input", { type: "text", name, pattern, maxlength: maxLength, placeholder: usual ?? "" });
  const read = () => (input.value.trim() === "" ? undefined : input.value.trim());
  return { name, read, element: labelled(name, rule, input, WIDE_TEXT.has(name) ? "wide" : "") };
}
