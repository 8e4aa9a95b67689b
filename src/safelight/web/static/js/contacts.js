/** Contacts: people and topics that are told, whether they said yes, and what was sent to them. */

import { api } from "./api.js";
import { confirmed } from "./confirm.js";
import { el } from "./dom.js";
import { moment } from "./format.js";
import { startForm } from "./forms.js";
import { toast, toastError } from "./toast.js";
import { actionButton, logOf, standing, toldList } from "./told.js";

const HINTS = { email: "ann@example.com", sms: "+49 151 23456789", sns: "arn:aws:sns:…" };
const BY = { email: "E-mail", sms: "SMS", sns: "Topic" };

export function startContacts({ form, list }) {
  const contacts = toldList({ list, load: api.contacts, make: (doc) => contactCard(doc, (id) => contacts.drop(id)) });
  const { channel, address } = form.elements;
  channel.addEventListener("change", () => {
    address.placeholder = HINTS[channel.value];
  });
  startForm(form, {
    describe: () => `${channel.value} ${address.value}`,
    submit: async () => {
      const made = await api.addContact({ channel: channel.value, address: address.value.trim() });
      address.value = "";
      contacts.put(made);
      if (!made.confirmed_at) toast(`${made.address} was asked`);
    },
  });
  return contacts;
}

function contactCard(first, onGone) {
  const head = el("div", { class: "told-head" });
  const proof = el("div", { class: "proof" });
  const buttons = el("div", { class: "told-buttons" });
  const log = logOf({ load: (cursor) => api.notices(first.id, cursor), line: () => ({}) });
  const element = el("li", { id: first.id, class: "told-card" }, head, proof, buttons, log.element);

  function update(doc) {
    const hears = doc.confirmed_at && !doc.stopped_at;
    head.replaceChildren(el("strong", {}, doc.address), state(doc), el("span", { class: "hint" }, `${BY[doc.channel]} · ${wishes(doc)}`));
    proof.replaceChildren(...hears || doc.channel !== "sms" ? [] : [codeForm(doc, update)]);
    buttons.replaceChildren(
      hears
        ? actionButton("Send test", async () => {
          await api.testContact(doc.id);
          toast(`On its way to ${doc.address}`);
          await log.refresh();
        })
        : actionButton("Ask again", async () => {
          update(await api.askContact(doc.id));
          toast(`${doc.address} was asked again`);
        }),
      ...doc.channel === "sns" ? [] : [
        actionButton(doc.digest ? "Tell one by one" : "Tell once a day", async () =>
          update(await api.changeContact(doc.id, { digest: !doc.digest }))),
      ],
      actionButton("Delete", async () => {
        const sure = await confirmed({ title: "Delete this contact?", detail: `${doc.address} is told nothing more.`, yes: "Delete" });
        if (!sure) return;
        await api.removeContact(doc.id);
        onGone(doc.id);
      }, "danger"));
  }

  update(first);
  return { element, update };
}

/** The form for the digits of an SMS. */
function codeForm(doc, update) {
  const input = el("input", { name: "code", inputmode: "numeric", autocomplete: "one-time-code", maxlength: "6", size: "8", required: true });
  return el("form", {
    on: {
      submit: (event) => {
        event.preventDefault();
        api.confirmContact(doc.id, input.value.trim()).then(update, toastError);
      },
    },
  }, el("label", {}, "The six digits of the message ", input), el("button", { class: "quiet-button", type: "submit" }, "Confirm"));
}

function state(doc) {
  if (doc.stopped_at) return standing("bad", `stopped ${moment(doc.stopped_at)}: ${doc.stopped_reason}`);
  return doc.confirmed_at ? standing("good", "said yes") : standing("calm", "was asked");
}

function wishes(doc) {
  if (doc.digest) return "once a day";
  return doc.events.length ? doc.events.join(", ") : "only jobs that name them";
}
