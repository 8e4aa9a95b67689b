/** Speaks the HTTP API: one function a route, problems as exceptions, a deadline on every call. */

const DEADLINE_MS = 20_000;
const UPLOAD_DEADLINE_MS = 300_000;

/** What went on between page and server: `away`, `back` and `signed-out` events. */
export const wire = new EventTarget();

/** An RFC 9457 problem that the server answered with. */
export class Problem extends Error {
  constructor(document, status) {
    super(document.detail || document.title || `The server answered ${status}.`);
    this.title = document.title || `Error ${status}`;
    this.detail = document.detail || "";
    this.status = status;
    this.code = document.code || "";
    this.errors = Array.isArray(document.errors) ? document.errors : [];
  }

  /** The whole problem in words: detail, then one line a field. */
  get words() {
    const fields = this.errors.map((error) => `${error.name || error.field}: ${error.message}`);
    return [this.detail || this.title, ...fields].join("\n");
  }
}

/** The server did not answer at all. */
export class ServerAway extends Error {
  constructor() {
    super("The server does not answer.");
    this.words = "The server does not answer. Nothing is lost here; try again in a moment.";
  }
}

async function problemOf(response) {
  const type = response.headers.get("content-type") || "";
  let document = {};
  if (type.includes("json")) {
    document = await response.json().catch(() => ({})); // cut off on the way: the status must do
  }
  return new Problem(document, response.status);
}

async function send(method, path, { json, form, key, keepalive = false, deadline = DEADLINE_MS } = {}) {
  const headers = { Accept: "application/json" };
  if (json !== undefined) headers["Content-Type"] = "application/json";
  if (key) headers["Idempotency-Key"] = key;
  const body = json === undefined ? form : JSON.stringify(json);
  const signal = AbortSignal.timeout(deadline);
  try {
    return await fetch(path, { method, headers, body, signal, keepalive, credentials: "same-origin" });
  } catch {
    wire.dispatchEvent(new Event("away")); // refused, cut off or past the deadline
    throw new ServerAway();
  }
}

async function call(method, path, options) {
  const response = await send(method, path, options);
  wire.dispatchEvent(new Event("back"));
  if (response.status === 401 && path !== "v1/session") wire.dispatchEvent(new Event("signed-out"));
  if (!response.ok) throw await problemOf(response);
  return response.headers.get("content-type") ? response.json() : null;
}

function query(values) {
  const filled = Object.entries(values).filter(([, value]) => value !== null && value !== "");
  return filled.length ? `?${new URLSearchParams(filled)}` : "";
}

function filesForm(field, files) {
  const form = new FormData();
  for (const file of files) form.append(field, file, file.name);
  return form;
}

const id = encodeURIComponent;

export const api = {
  account: () => call("GET", "v1/account"),
  signIn: (key) => call("POST", "v1/session", { json: { key } }),
  signOut: () => call("DELETE", "v1/session"),

  logIn: (wish) => call("POST", "v1/auth/login", { json: wish }),
  loginProviders: () => call("GET", "v1/auth/providers"),
  secondStep: (wish) => call("POST", "v1/auth/login/second-step", { json: wish }),
  switchAccount: (accountId) =>
    call("POST", "v1/auth/switch", { json: { account_id: accountId } }),
  forgot: (wish) => call("POST", "v1/auth/forgotten", { json: wish }),
  resetPassword: (wish) => call("POST", "v1/auth/reset", { json: wish }),
  confirmEmail: (wish) => call("POST", "v1/auth/email/confirm", { json: wish }),
  myself: () => call("GET", "v1/auth/me"),
  sessions: () => call("GET", "v1/auth/sessions"),
  endSession: (sessionId) => call("DELETE", `v1/auth/sessions/${id(sessionId)}`),
  endOtherSessions: () => call("DELETE", "v1/auth/sessions"),
  changePassword: (wish) => call("POST", "v1/auth/password", { json: wish }),
  changeEmail: (wish) => call("POST", "v1/auth/email", { json: wish }),
  beginTotp: (wish) => call("POST", "v1/auth/totp", { json: wish }),
  confirmTotp: (wish) => call("POST", "v1/auth/totp/confirm", { json: wish }),
  renewCodes: (wish) => call("POST", "v1/auth/totp/recovery-codes", { json: wish }),
  disableTotp: (wish) => call("POST", "v1/auth/totp/disable", { json: wish }),
  lookAtInvitation: (wish) => call("POST", "v1/invitations/look", { json: wish }),
  acceptInvitation: (wish) => call("POST", "v1/invitations/accept", { json: wish }),
  joinAccount: (wish) => call("POST", "v1/invitations/join", { json: wish }),

  models: () => call("GET", "v1/models"),

  generate: (wish, key) => call("POST", "v1/generate", { json: wish, key }),
  importUrls: (urls, key) =>
    call("POST", "v1/images", { json: urls.length === 1 ? { url: urls[0] } : { urls }, key }),
  upload: (file) =>
    call("POST", "v1/uploads", { form: filesForm("file", [file]), deadline: UPLOAD_DEADLINE_MS }),
  makeModels: (files, { model, params }, key) => {
    const form = filesForm("files", files);
    if (model) form.append("model", model);
    form.append("params", JSON.stringify(params));
    return call("POST", "v1/upload/batch", { form, key, deadline: UPLOAD_DEADLINE_MS });
  },

  jobs: ({ kind = null, limit = 24, cursor = null } = {}) =>
    call("GET", `v1/jobs${query({ kind, limit, cursor })}`),
  job: (jobId) => call("GET", `v1/jobs/${id(jobId)}`),
  batch: (batchId) => call("GET", `v1/batches/${id(batchId)}`),
  cancel: (jobId) => call("POST", `v1/jobs/${id(jobId)}/cancel`),
  redrive: (jobId) => call("POST", `v1/jobs/${id(jobId)}/redrive`),
  remove: (jobId) => call("DELETE", `v1/jobs/${id(jobId)}`, { keepalive: true }), // the page may close

  webhooks: () => call("GET", "v1/webhooks"),
  addWebhook: (wish) => call("POST", "v1/webhooks", { json: wish }),
  changeWebhook: (hookId, change) => call("PATCH", `v1/webhooks/${id(hookId)}`, { json: change }),
  removeWebhook: (hookId) => call("DELETE", `v1/webhooks/${id(hookId)}`),
  newSecret: (hookId) => call("POST", `v1/webhooks/${id(hookId)}/rotate`),
  testWebhook: (hookId) => call("POST", `v1/webhooks/${id(hookId)}/test`),
  deliveries: (hookId, cursor = null) =>
    call("GET", `v1/webhooks/${id(hookId)}/deliveries${query({ limit: 20, cursor })}`),
  delivery: (hookId, deliveryId) =>
    call("GET", `v1/webhooks/${id(hookId)}/deliveries/${id(deliveryId)}`),
  redeliver: (hookId, deliveryId) =>
    call("POST", `v1/webhooks/${id(hookId)}/deliveries/${id(deliveryId)}/redeliver`),
  redeliverFailed: (hookId, since) =>
    call("POST", `v1/webhooks/${id(hookId)}/redeliver`, { json: { since } }),

  contacts: () => call("GET", "v1/contacts"),
  addContact: (wish) => call("POST", "v1/contacts", { json: wish }),
  changeContact: (contactId, change) =>
    call("PATCH", `v1/contacts/${id(contactId)}`, { json: change }),
  removeContact: (contactId) => call("DELETE", `v1/contacts/${id(contactId)}`),
  confirmContact: (contactId, code) =>
    call("POST", `v1/contacts/${id(contactId)}/confirm`, { json: { code } }),
  askContact: (contactId) => call("POST", `v1/contacts/${id(contactId)}/code`),
  testContact: (contactId) => call("POST", `v1/contacts/${id(contactId)}/test`),
  notices: (contactId, cursor = null) =>
    call("GET", `v1/contacts/${id(contactId)}/notices${query({ limit: 20, cursor })}`),
};

/** Asks whether the server lives, without telling anyone about a failure. */
export async function ping() {
  try {
    const response = await fetch("health/live", { signal: AbortSignal.timeout(4000), cache: "no-store" });
    return response.ok;
  } catch {
    return false; // still away
  }
}

/**
 * Hands out one idempotency key per request body until that body got through, so that pressing the
 * button again after a lost answer finds the first job instead of making a second.
 */
export class OnceKey {
  #body = null;
  #key = "";

  for(body) {
    if (body !== this.#body) {
      this.#body = body;
      this.#key = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) =>
        byte.toString(16).padStart(2, "0")).join("");
    }
    return this.#key;
  }

  used() {
    this.#body = null;
  }
}
