/** The small pages of people: sign in, passwords, invitations, security. */

import { api, Problem } from "./api.js";
import { el } from "./dom.js";

const TITLES = {
  signin: "Sign in",
  forgotten: "Forgotten password",
  password: "Choose a password",
  email: "Confirm your address",
  invitation: "Invitation",
  security: "Security",
};

const name = location.pathname.replace(/\/$/, "").split("/").pop();
const section = document.querySelector(`[data-page="${name}"]`);
const token = new URLSearchParams(location.hash.slice(1)).get("token") || "";

const find = (selector) => section.querySelector(selector);
const form = (which) => find(`[data-form="${which}"]`);

function show(problem, place) {
  const error = place.querySelector(".form-error");
  error.textContent = problem ? problem.words || String(problem) : "";
  error.hidden = !problem;
}

/** Sends a form once at a time; `send` gets its fields and the pressed button's value. */
function onSubmit(which, send) {
  const target = form(which);
  target.addEventListener("submit", async (event) => {
    event.preventDefault();
    show(null, target);
    const button = event.submitter || target.querySelector("[type=submit]");
    button.disabled = true;
    try {
      await send(Object.fromEntries(new FormData(target)), button.value, target);
    } catch (problem) {
      show(problem, target);
    } finally {
      button.disabled = false;
    }
  });
}

function finish(target) {
  target.reset();
  const done = target.querySelector("[data-done]") || find("[data-done]");
  done.hidden = false;
  if (!target.contains(done)) target.hidden = true;
}

const pages = {
  signin() {
    let half = "";
    const failed = new URLSearchParams(location.hash.slice(1)).get("failed");
    if (failed) {
      const place = find("[data-failed]");
      place.textContent =
        failed === "identity_not_connected"
          ? "No user here is connected to this identity. Sign in with the password, then connect it."
          : "The login at the provider failed. Try again.";
      place.hidden = false;
    }
    api.loginProviders().then(({ data }) =>
      find("[data-providers]").append(
        ...data.map((each) => el("a", { href: each.url }, `Sign in with ${each.title}`)),
      ),
    );
    const enter = () => location.assign(token ? `invitation${location.hash}` : "./");
    onSubmit("login", async (fields, _, target) => {
      const answer = await api.logIn(fields);
      if (answer.status === "signed_in") return enter();
      half = answer.token;
      target.hidden = true;
      form("second-step").hidden = false;
      form("second-step").elements.code.focus();
    });
    onSubmit("second-step", async ({ code }) => {
      await api.secondStep({ token: half, code });
      enter();
    });
    form("login").elements.email.focus();
  },

  forgotten() {
    onSubmit("forgotten", async (fields, _, target) => {
      await api.forgot(fields);
      finish(target);
    });
  },

  password() {
    onSubmit("reset", async ({ password }, _, target) => {
      await api.resetPassword({ token, password });
      finish(target);
    });
  },

  email() {
    onSubmit("confirm", async (_, __, target) => {
      await api.confirmEmail({ token });
      finish(target);
    });
  },

  async invitation() {
    onSubmit("accept", async ({ password }) => {
      await api.acceptInvitation({ token, password });
      location.assign("./");
    });
    onSubmit("join", async () => {
      await api.joinAccount({ token });
      location.assign("./");
    });
    find("[data-signin]").href = `signin${location.hash}`;
    const found = await api.lookAtInvitation({ token });
    find("[data-welcome]").textContent =
      `${found.email} is invited to the account ${found.account} as ${found.role}.`;
    form("accept").hidden = found.has_user;
    form("join").hidden = !found.has_user;
  },

  async security() {
    onSubmit("password", async (fields, _, target) => {
      await api.changePassword(fields);
      finish(target);
      await drawSessions();
    });
    onSubmit("email", async (fields, _, target) => {
      await api.changeEmail(fields);
      finish(target);
    });
    onSubmit("totp", async (fields, action, target) => {
      if (action === "begin") {
        const made = await api.beginTotp(fields);
        find("[data-secret]").textContent = made.secret;
        find("[data-app]").href = made.address;
        form("totp-confirm").hidden = false;
      } else if (action === "codes") {
        drawCodes(await api.renewCodes(fields));
      } else {
        await api.disableTotp(fields);
        find("[data-codes]").hidden = true;
      }
      target.reset();
      await drawMyself();
    });
    onSubmit("totp-confirm", async (fields, _, target) => {
      drawCodes(await api.confirmTotp(fields));
      target.reset();
      target.hidden = true;
      await drawMyself();
    });
    find("[data-others]").addEventListener("click", async () => {
      await api.endOtherSessions();
      await drawSessions();
    });
    await drawMyself();
    await drawSessions();
  },
};

async function drawMyself() {
  const me = await api.myself();
  const verified = me.verified_at ? "confirmed" : "not confirmed yet";
  find("[data-who]").textContent = `${me.email} (${verified})`;
  form("email").elements.email.value ||= me.email;
  find("[data-totp-state]").textContent = me.two_step
    ? `On; ${me.recovery_codes_left} recovery codes are left.`
    : "Off: the password alone signs in.";
  for (const button of form("totp").querySelectorAll("button")) {
    button.hidden = me.two_step === (button.value === "begin");
  }
  const accounts = find("[data-accounts]");
  accounts.hidden = me.accounts.length < 2;
  accounts.querySelector("ul").replaceChildren(...me.accounts.map((each) => el("li", {},
    el("span", {}, `${each.name}, ${each.role}`),
    each.id === me.account_id ? el("span", { class: "hint" }, "this session") : el("button", {
      type: "button", class: "quiet-button",
      on: { click: () => api.switchAccount(each.id).then(() => location.reload()) },
    }, "Switch"),
  )));
}

async function drawSessions() {
  const { data } = await api.sessions();
  find("[data-sessions]").replaceChildren(...data.map((each) => el("li", {},
    el("span", {}, `Since ${new Date(each.created_at).toLocaleString()}`,
      each.last_used_from ? ` from ${each.last_used_from}` : ""),
    each.current ? el("span", { class: "hint" }, "this one") : el("button", {
      type: "button", class: "quiet-button danger",
      on: { click: () => api.endSession(each.id).then(drawSessions) },
    }, "End"),
  )));
}

function drawCodes({ codes }) {
  const place = find("[data-codes]");
  place.querySelector("ul").replaceChildren(
    ...codes.map((code) => el("li", {}, el("code", {}, code))));
  place.hidden = false;
}

document.title = `${TITLES[name]} · Safelight`;
section.hidden = false;
for (const other of document.querySelectorAll("[data-page][hidden]")) other.remove();
try {
  await pages[name]();
} catch (problem) {
  if (name === "security" && problem instanceof Problem && problem.status !== 503) {
    location.assign("signin"); // no person is signed in
  } else {
    show(problem, section);
  }
}
