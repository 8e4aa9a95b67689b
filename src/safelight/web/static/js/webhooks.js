/** Webhooks: where programs are told, what was sent there, and all that can be done about it. */

import { api } from "./api.js";
import { confirmed } from "./confirm.js";
import { el, iconButton } from "./dom.js";
import { ago, plural } from "./format.js";
import { startForm } from "./forms.js";
import { copyText, toast, toastError } from "./toast.js";
import { actionButton, logOf, standing, toldList } from "./told.js";

const LOOK_MS = 400;
const LONGEST_MS = 20_000;
const DAY_MS = 86_400_000;
const REASONS = { gone: "it answered 410", failing: "it failed for days", asked: "you asked for it" };

export function startWebhooks({ form, list }) {
  const hooks = toldList({ list, load: api.webhooks, make: (doc) => webhookCard(doc, (id) => hooks.drop(id)) });
  startForm(form, {
    describe: () => JSON.stringify([form.elements.url.value, form.elements.events.value]),
    submit: async () => {
      const events = form.elements.events.value;
      const made = await api.addWebhook({
        url: form.elements.url.value.trim(), ...(events && { events: [events] }),
      });
      form.reset();
      hooks.put(made);
      document.getElementById(made.id).querySelector(".secret button").focus();
    },
  });
  return hooks;
}

function webhookCard(first, onGone) {
  const head = el("div", { class: "told-head" });
  const secret = el("div", { class: "secret", hidden: true });
  const buttons = el("div", { class: "told-buttons" });
  const log = logOf({
    load: (cursor) => api.deliveries(first.id, cursor),
    line: (delivery) => deliveryLine(first.id, delivery, () => log.refresh()),
  });
  const element = el("li", { id: first.id, class: "told-card" }, head, secret, buttons, log.element);

  function showSecret(doc) {
    secret.hidden = false;
    secret.replaceChildren(
      el("p", {}, "The secret that signs what is sent. It is shown only now:"),
      el("div", {}, el("code", {}, doc.secret),
        iconButton("link", "Copy the secret", () => copyText(doc.secret, "Secret"))));
  }

  function update(doc) {
    const name = doc.url ?? "webhook_url of jobs and batches";
    head.replaceChildren(
      el("strong", {}, name), state(doc),
      el("span", { class: "hint" }, doc.is_default ? "" : doc.events.join(", ")));
    buttons.replaceChildren(...doc.is_default ? [] : [
      actionButton("Send test", () => test(doc)),
      actionButton(doc.disabled_at ? "Enable" : "Disable", async () =>
        update(await api.changeWebhook(doc.id, { disabled: !doc.disabled_at }))),
      actionButton("Send failed again", async () => {
        const since = new Date(Date.now() - 7 * DAY_MS).toISOString();
        const { redelivered } = await api.redeliverFailed(doc.id, since);
        toast(redelivered ? `${plural(redelivered, "message")} of the last week sent again` : "Nothing failed in the last week");
        await log.refresh();
      }),
      actionButton("New secret", async () => {
        const changed = await api.newSecret(doc.id);
        update(changed);
        showSecret(changed);
      }),
      actionButton("Delete", async () => {
        const sure = await confirmed({
          title: "Delete this webhook?", detail: `${name} is told nothing more, and its log goes.`, yes: "Delete",
        });
        if (!sure) return;
        await api.removeWebhook(doc.id);
        onGone(doc.id);
      }, "danger"),
    ]);
    if (doc.secret) showSecret(doc);
  }

  async function test(doc) {
    const sent = await api.testWebhook(doc.id);
    const ended = await theEnd(doc.id, sent.id);
    const tried = ended.log.at(-1);
    if (ended.state === "delivered") toast(`It arrived: ${tried.status} in ${tried.took_ms} ms`);
    else toast(tried ? `It did not arrive: ${tried.error ?? tried.status}` : "It is still on its way", { bad: true });
    await log.refresh();
  }

  update(first);
  return { element, update };
}

/** Looks until a delivery was tried once. */
async function theEnd(hookId, deliveryId) {
  const until = Date.now() + LONGEST_MS;
  for (;;) {
    const seen = await api.delivery(hookId, deliveryId);
    if (seen.log.length || Date.now() > until) return seen;
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

function state(doc) {
  if (doc.disabled_at) return standing("bad", `disabled: ${REASONS[doc.disabled_reason] ?? doc.disabled_reason}`);
  if (doc.failing_since) return standing("bad", `failing since ${ago(doc.failing_since)}`);
  return standing("good", "in use");
}

function deliveryLine(hookId, delivery, onSent) {
  const below = el("details", { class: "tries" }, el("summary", {}, "Request and answer"));
  below.addEventListener("toggle", async () => {
    if (!below.open || below.children.length > 1) return;
    try {
      const { log } = await api.delivery(hookId, delivery.id);
      below.append(...log.map(oneTry));
    } catch (failure) {
      toastError(failure);
    }
  });
  const again = actionButton("Send again", async () => {
    await api.redeliver(hookId, delivery.id);
    onSent();
  });
  return { buttons: [delivery.status && el("span", { class: "hint" }, String(delivery.status)), again].filter(Boolean), below: [below] };
}

function oneTry(tried) {
  return el("div", { class: "try" },
    el("p", { class: "hint" }, `Try ${tried.number}, ${tried.took_ms} ms: ${tried.status ?? tried.error ?? ""}`),
    tried.request && el("pre", { tabindex: 0 }, spelled(tried.request)),
    tried.answer && el("pre", { tabindex: 0 }, spelled(tried.answer)));
}

/** A message as it went over the wire, its JSON made readable. */
function spelled({ headers, body }) {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
  try {
    return [...lines, "", JSON.stringify(JSON.parse(body), null, 2)].join("\n");
  } catch {
    return [...lines, "", body].join("\n"); // it is cut off, or no JSON
  }
}
