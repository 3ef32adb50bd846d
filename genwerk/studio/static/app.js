// @ts-check
// The frame around every view: navigation, language, light or dark, the password.

import { asks, get, post, Refused } from "./api.js";
import { append, fill, h, icon } from "./dom.js";
import { language, LANGUAGES, preferred, speak, t } from "./i18n.js";
import { here, leave, link } from "./pages.js";
import { going, problem } from "./parts.js";
import { show as command } from "./views/command.js";
import { show as compare } from "./views/compare.js";
import { show as job } from "./views/job.js";
import { show as jobs } from "./views/jobs.js";
import { show as optimise } from "./views/optimise.js";
import { show as run } from "./views/run.js";
import { show as runs } from "./views/runs.js";
import { show as tools } from "./views/tools.js";
import { show as train } from "./views/train.js";

/** @typedef {(main: HTMLElement, place: import("./pages.js").Place) => Promise<void>|void} View */

/** @type {Record<string, View>} */
const VIEWS = {
  train, runs, run, jobs, job, compare, optimise, tools,
  do: (main, { parts }) => command(main, parts[1] ?? ""),
};
const NAVIGATION = /** @type {const} */ ([
  ["train", "Train"], ["runs", "Runs"], ["jobs", "Jobs"], ["compare", "Compare"], ["optimise", "Optimise"], ["tools", "Tools"],
]);

const top_ = /** @type {HTMLElement} */ (document.getElementById("top"));
const main = /** @type {HTMLElement} */ (document.getElementById("main"));

/** @param {string} theme */
function light(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
}

function header() {
  const view = here().parts[0] ?? "";
  const now = { run: "runs", job: "jobs", do: "tools" }[view] ?? view;
  const dark = () =>
    (document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const theme = h("button", { type: "button", class: "quiet round", "aria-label": t("Light or dark"), title: t("Light or dark"),
    onclick: () => {
      const other = dark() ? "light" : "dark";
      localStorage.setItem("theme", other);
      light(other);
      fill(theme, icon(other === "dark" ? "sun" : "moon"));
    } }, icon(dark() ? "sun" : "moon"));
  const words = h("select", { id: "language", class: "language", "aria-label": t("Language"), onchange: async () => {
    localStorage.setItem("language", words.value);
    await speak(words.value === "zh" ? "zh" : "en");
    await draw();
  } }, Object.entries(LANGUAGES).map(([code, name]) => h("option", { value: code, lang: code, selected: code === language() }, name)));
  const links = NAVIGATION.map(([name, title]) =>
    h("a", { href: link([name]), "aria-current": name === now ? "page" : null, id: `to-${name}` }, icon(name), h("span", {}, t(title))));
  fill(top_,
    h("a", { class: "brand", href: link(["runs"]) }, h("img", { src: "/static/logo.svg", alt: "", width: 28, height: 28 }), h("span", {}, "Genwerk")),
    h("nav", { "aria-label": t("Pages") }, links), h("div", { class: "switches" }, words, theme));
  const skip = document.getElementById("skip");
  if (skip) skip.textContent = t("Skip to content");
  count();
}

/** How many jobs are going on or wait, beside the name of their page. */
async function count() {
  const jobs = await get("/api/jobs").catch(() => []);
  const n = jobs.filter((/** @type {import("./types.js").Job} */ each) => going(each.state)).length;
  const place = document.getElementById("to-jobs");
  place?.querySelector(".count")?.remove();
  if (place && n) append(place, h("span", { class: "count", title: t("{n} going on or waiting", { n }) }, String(n)));
}

let drawn = 0;

async function draw() {
  const mine = ++drawn;
  leave();
  const place = here();
  header();
  const view = VIEWS[place.parts[0] ?? ""];
  if (!view) {
    location.replace(link(["runs"]));
    return;
  }
  const page = h("div", { class: `view ${place.parts[0]}` });
  fill(main, page);
  try {
    await view(page, place);
  } catch (error) {
    if (mine !== drawn) return;
    fill(page, h("h1", {}, t("That did not work")), problem(error instanceof Refused ? error.message : t("The page failed: {what}", { what: String(error) })));
    if (!(error instanceof Refused)) throw error;
  }
  const title = page.querySelector("h1")?.textContent;
  document.title = title ? `${title} · Genwerk` : "Genwerk";
}

/** @type {Promise<void>|null} */
let asking = null;

/** Ask for the password once, however many requests lack it. */
function login() {
  asking ??= new Promise((resolve) => {
    const said = h("p", { class: "wrong", role: "alert" });
    const word = h("input", { type: "password", id: "password", autocomplete: "current-password", required: true });
    const dialog = h("dialog", { class: "login", "aria-labelledby": "login-title", oncancel: (/** @type {Event} */ event) => event.preventDefault() },
      h("form", { onsubmit: async (/** @type {Event} */ event) => {
        event.preventDefault();
        try {
          await post("/api/login", { password: word.value });
          dialog.close();
          dialog.remove();
          asking = null;
          resolve();
        } catch (error) {
          said.textContent = error instanceof Refused && error.status === 401 ? t("That is not the password.") : String(/** @type {Error} */ (error).message);
          word.select();
        }
      } }, h("h2", { id: "login-title" }, t("Password")), h("p", {}, t("This studio is protected by a password.")),
      h("label", { for: "password" }, t("Password")), word, said, h("button", { class: "main" }, t("Log in"))));
    document.body.append(dialog);
    dialog.showModal();
  });
  return asking;
}

light(localStorage.getItem("theme") ?? "");
asks(login);
await speak(preferred());
const hello = await get("/api/hello").catch(() => ({ login: false }));
if (hello.login) await login();
window.addEventListener("hashchange", async () => {
  await draw();
  window.scrollTo(0, 0);
  main.focus({ preventScroll: true });
});
window.addEventListener("jobs", count);
setInterval(() => document.visibilityState === "visible" && count(), 10_000);
await draw();
