/** The import form: one address or many, one a line. */

import { api } from "./api.js";
import { plural } from "./format.js";
import { startForm } from "./forms.js";

const MOST = 1000;

/** Splits the text into addresses and the lines that are none. */
export function readAddresses(text) {
  const lines = text.split(/\s+/).filter(Boolean);
  const wrong = lines.filter((line) => !isAddress(line));
  return { addresses: lines.filter(isAddress), wrong };
}

function isAddress(line) {
  return /^https?:\/\//i.test(line) && URL.canParse(line);
}

export function startImport({ form, onSubmitted }) {
  const text = form.elements.addresses;
  const hint = form.querySelector("[data-count]");
  const usual = hint.textContent;

  function check() {
    const { addresses, wrong } = readAddresses(text.value);
    hint.textContent = text.value.trim() ? plural(addresses.length, "address", "addresses") : usual;
    text.setCustomValidity("");
    if (wrong.length) text.setCustomValidity(`Not an http:// or https:// address: ${wrong[0].slice(0, 80)}`);
    else if (addresses.length > MOST) text.setCustomValidity(`At most ${MOST} addresses at a time.`);
  }

  text.addEventListener("input", check);
  startForm(form, {
    describe: () => text.value,
    submit: async (key) => {
      const { addresses } = readAddresses(text.value);
      onSubmitted(await api.importUrls(addresses, key));
      form.reset();
      check();
    },
  });
}
