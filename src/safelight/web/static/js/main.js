/** Puts the page together: who hears whom is decided here and nowhere else. */

import { createActions } from "./actions.js";
import { api } from "./api.js";
import { startConnection } from "./connection.js";
import { startContacts } from "./contacts.js";
import { guardStrayDrops } from "./files.js";
import { refreshTimes } from "./format.js";
import { startGenerate } from "./generate.js";
import { startImport } from "./import.js";
import { startModel3d } from "./model3d.js";
import { startPages } from "./pages.js";
import { Results } from "./results.js";
import { startSession } from "./session.js";
import { startTabs } from "./tabs.js";
import { startTheme } from "./theme.js";
import { toastError } from "./toast.js";
import { createViewer } from "./viewer.js";
import { startWebhooks } from "./webhooks.js";

const TIMES_MS = 30_000;
const at = (id) => document.getElementById(id);

const tabs = startTabs(document.querySelector("[role=tablist]"));
const results = new Results({ list: at("cards"), empty: at("empty"), more: at("more"), filters: at("filters") });
const onSubmitted = (doc) => results.add(doc);

const generate = startGenerate({
  form: at("create-form"), examples: at("examples"), onSubmitted, onShown: () => tabs.go("create"),
});
const model3d = startModel3d({ form: at("model-form"), onSubmitted, onShown: () => tabs.go("model") });
startImport({ form: at("import-form"), onSubmitted });

const viewer = createViewer(at("viewer"), {
  canRefer: generate.canRefer,
  onReference: generate.addReference,
  onMakeModel: model3d.addAsset,
});
results.useActions(createActions({
  put: (doc) => results.put(doc),
  hide: (id) => results.hide(id),
  unhide: (doc) => results.unhide(doc),
  viewer,
}));

const webhooks = startWebhooks({ form: at("webhook-form"), list: at("webhooks") });
const contacts = startContacts({ form: at("contact-form"), list: at("contacts") });
const pages = startPages({
  studio: at("studio"), notifications: at("notifications"), link: at("notifications-link"),
  onNotifications: () => Promise.all([webhooks.show(), contacts.show()]).catch(toastError),
  onSubject: (id) => results.open(id).catch(toastError),
});

async function fillPage() {
  try {
    const { data: models } = await api.models();
    generate.useModels(models);
    model3d.useModels(models);
  } catch (failure) {
    toastError(failure);
  }
  await results.show("");
  pages.enter();
}

const session = startSession({
  panel: at("sign-in"), app: at("app"), signOut: at("sign-out"),
  onSignedIn: fillPage,
  onSignedOut: () => {
    results.clear();
    pages.leave();
  },
});
startConnection(at("away"), () => (session.isInside() ? results.refresh() : session.enter()));
startTheme(at("theme"));
guardStrayDrops();
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && session.isInside()) results.refresh();
});
setInterval(() => refreshTimes(), TIMES_MS);
session.enter();
