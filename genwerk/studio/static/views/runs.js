// @ts-check
// All runs below the root, with what they last made.

import { begin, get, post, remove, where } from "../api.js";
import { fill, h, icon } from "../dom.js";
import { moment, t } from "../i18n.js";
import { go, here, link, note } from "../pages.js";
import { badge, complain, standing, toast } from "../parts.js";

/** The run that is trained where somebody just wants to see how it works. */
const FIRST = "runs/first-digits";

/** @param {HTMLElement} main */
export async function show(main) {
  let runs = /** @type {import("../types.js").RunEntry[]} */ (await get("/api/runs"));
  const list = h("ul", { class: "gallery" });
  const search = h("input", { type: "search", id: "search", value: here().query.get("search") ?? "", placeholder: t("Name, recipe or data"), oninput: () => { note({ search: search.value }); draw(); } });
  const draw = () => {
    const wanted = search.value.trim().toLowerCase();
    const found = runs.filter((each) => [each.run, each.recipe, each.data].join(" ").toLowerCase().includes(wanted));
    fill(list, found.map((each) => card(each, drop)));
    if (!found.length && runs.length) fill(list, h("li", { class: "empty" }, t("No run is called so.")));
  };
  const again = async () => { runs = await get("/api/runs"); await show(main); };
  const drop = async (/** @type {string} */ run) => {
    try {
      const { undo } = await remove("/api/run", { run });
      toast(t("{run} is in the bin.", { run }), { name: t("Undo"), act: () => post("/api/undo", { undo }).then(again, complain) });
      await again();
    } catch (error) {
      complain(error);
    }
  };
  if (!runs.length) return welcome(main);
  fill(main, h("div", { class: "row between" }, h("h1", {}, t("Runs")), h("a", { class: "button main", href: link(["train"]) }, icon("train"), t("Train a model"))),
    h("div", { class: "search" }, h("label", { for: "search", class: "unseen" }, t("Search")), search), list);
  draw();
}

/** What a folder without any run begins with: three ways to a first one.
 * @param {HTMLElement} main */
function welcome(main) {
  const start = async (/** @type {Event} */ event) => {
    const button = /** @type {HTMLButtonElement} */ (event.currentTarget);
    button.disabled = true;
    try {
      go(link(["job", await begin("train", null, { recipe: "vae", out: FIRST, minutes: "1", "data.source": "digits", "evaluate.minutes": "0.5" })]));
    } catch (error) {
      complain(error);
      button.disabled = false;
    }
  };
  /** @param {keyof typeof import("../dom.js").PATHS} sign @param {string} title @param {string} about @param {HTMLElement} way */
  const door = (sign, title, about, way) => h("li", { class: "card door" }, h("span", { class: "sign" }, icon(sign)), h("h2", {}, title), h("p", {}, about), way);
  fill(main, h("div", { class: "welcome" },
    h("img", { src: "/static/logo.svg", alt: "", width: 64, height: 64 }),
    h("h1", {}, t("What should a model learn to make?")),
    h("p", { class: "lead" }, t("Train a generative model here, watch it learn, and make new examples with it. Nothing leaves this machine.")),
    h("ul", { class: "doors" },
      door("play", t("See it work first"), t("A small model learns to draw handwritten digits while you watch. It takes about two minutes."),
        h("button", { type: "button", class: "main", onclick: start }, t("Start now"))),
      door("upload", t("Learn from my own files"), t("Images, sounds, texts or a table of yours: drop them in, and choose from the recipes that fit."),
        h("a", { class: "button", href: link(["train"], { how: "upload" }) }, t("Choose files"))),
      door("compare", t("Choose from everything"), t("Built-in data from points to pictures with captions, and every family of model that fits them."),
        h("a", { class: "button", href: link(["train"], { how: "builtin" }) }, t("Look around")))),
    h("p", {}, h("a", { href: link(["optimise"]) }, t("Or optimise a problem of several objectives")))));
}

/** @param {import("../types.js").RunEntry} each @param {(run: string) => void} drop */
function card({ run, recipe, data, state, stands, picture, changed, kind }, drop) {
  const to = link(["run", run]);
  return h("li", { class: "card run-card" },
    h("a", { class: `cover ${kind}`, href: to, tabindex: -1, "aria-hidden": "true" }, picture ? h("img", { src: where(picture), alt: "", loading: "lazy" }) : h("span", { class: "kind" }, t(kind || "run"))),
    h("div", { class: "about" }, h("div", { class: "row between nowrap" }, h("a", { class: "name", href: to }, run),
      h("button", { type: "button", class: "quiet round", "aria-label": t("Move {run} to the bin", { run }), title: t("Move to the bin"), onclick: () => drop(run) }, icon("trash"))),
    h("p", { class: "hint" }, recipe, " · ", data ?? "–"),
    h("div", { class: "row between" }, badge(state), h("span", { class: "hint", title: standing(stands) }, moment(changed)))));
}
