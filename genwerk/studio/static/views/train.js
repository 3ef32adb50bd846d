// @ts-check
// A training: which data, which recipe, which settings. Each choice stands in the address.

import { begin, get, upload } from "../api.js";
import { announce, append, fill, h, icon, unique } from "../dom.js";
import { form } from "../forms.js";
import { number, t } from "../i18n.js";
import { go, here, link, note, whenLeft } from "../pages.js";
import { complain, dropzone, picture, problem, segments, table, waiting } from "../parts.js";
import { player } from "../sounds.js";

/** Recipes that are shown at once. */
const FEW = 6;
/** Minutes that a training takes unless something else is chosen, so that one sees own results soon; and what else says so. */
const SHORT = "5", LENGTHS = ["minutes", "epochs", "train.rounds"];
/** Settings that the page sets itself, or that belong to a terminal. */
const OWN = ["recipe", "out", "resume", "config", "from_run", "data.source", "tensorboard"];

/** @param {HTMLElement} main */
export async function show(main) {
  const { query } = here();
  const choice = { data: query.get("data") ?? "", upload: query.get("upload") ?? "", name: query.get("name") ?? "", recipe: query.get("recipe") ?? "", how: query.get("how") ?? "builtin" };
  const [builtin, runs] = await Promise.all([get("/api/builtin"), get("/api/runs")]);
  const [source, understood, recipes, settings] = [1, 2, 3, 4].map(() => h("div", {}));
  /** @type {AbortController} */
  let reading = new AbortController();
  whenLeft(() => reading.abort());
  fill(main, h("h1", {}, t("Train a model")), h("p", { class: "lead" }, t("Choose data, choose a recipe, and watch it learn.")),
    step(1, t("Data"), segments(t("Where the data come from"), [["builtin", t("Built-in")], ["upload", t("Upload")], ["folder", t("In this folder")]], choice.how, (how) => { choice.how = how; note({ how }); drawSource(); }), source, understood), recipes, settings);

  function keep() {
    note({ data: choice.data, upload: choice.upload, name: choice.name, recipe: choice.recipe, how: choice.how });
  }
  /** @param {Record<string, string>} of */
  function chosen(of) {
    Object.assign(choice, { data: "", upload: "", name: "", recipe: "" }, of);
    keep();
    read();
  }

  /** Files of the newest upload that were left out, and why. @type {string[]} */
  let refused = [];

  function drawSource() {
    if (choice.how === "builtin") {
      const group = unique("data");
      fill(source ?? main, h("fieldset", { class: "choices" }, h("legend", { class: "unseen" }, t("Built-in data")), builtin.map((/** @type {{name: string, about?: string}} */ each) => h("label", { class: "choice" },
        h("input", { type: "radio", name: group, value: each.name, checked: choice.data === each.name, onchange: () => chosen({ data: each.name }) }), h("span", {}, h("b", {}, each.name), h("small", {}, t(each.about ?? `data:${each.name}`)))))));
    } else if (choice.how === "upload") {
      fill(source ?? main, dropzone({ label: t("Choose files"), several: true, folder: true }, async (files) => {
        const found = await upload(files);
        refused = found.skipped;
        chosen({ upload: found.upload, name: found.files > 1 ? "" : found.name });
      }), h("p", { class: "hint" }, t("Images, sounds, texts or a table; a .zip with a folder for each class brings labels along.")));
    } else {
      const path = h("input", { id: "path", type: "text", value: choice.data, autocomplete: "off", spellcheck: "false", placeholder: "photos/" });
      fill(source ?? main, h("form", { class: "field", onsubmit: (/** @type {Event} */ event) => { event.preventDefault(); if (path.value.trim()) chosen({ data: path.value.trim() }); } },
        h("label", { for: "path" }, t("Folder or file below the one that the studio was opened in")), h("div", { class: "row nowrap" }, path, h("button", {}, t("Look")))));
    }
  }

  async function read() {
    const [seen, list] = [understood ?? main, recipes ?? main];
    reading.abort();
    reading = new AbortController();
    fill(settings ?? main);
    if (!choice.data && !choice.upload) { fill(seen); fill(list); return; }
    fill(seen, waiting(t("Reading the data")));
    fill(list);
    try {
      const found = await get("/api/recipes", { data: choice.data, upload: choice.upload }, reading.signal);
      if (choice.upload && found.data) found.data.skipped = [...new Set([...refused, ...(found.data.skipped ?? [])])];
      fill(seen, described(found.data));
      announce(t("The data were read; {n} recipes fit.", { n: found.recipes.length }));
      drawRecipes(found.recipes);
    } catch (error) {
      if (!reading.signal.aborted) fill(seen, problem(error instanceof Error ? error.message : String(error)));
    }
  }

  /** @param {import("../types.js").Recipe[]} found */
  function drawRecipes(found) {
    const group = unique("recipe");
    const card = (/** @type {import("../types.js").Recipe} */ each, /** @type {number} */ i) => h("label", { class: "choice recipe" },
      h("input", { type: "radio", name: group, value: each.name, checked: choice.recipe === each.name, onchange: () => { choice.recipe = each.name; keep(); drawSettings(); } }),
      h("span", {}, h("span", { class: "row between" }, h("b", {}, each.name), h("span", { class: "tag" }, i === 0 && each.why ? t("Suggested") : t(each.family))), h("small", {}, each.summary),
        each.why ? h("small", { class: "why" }, each.why) : null, h("span", { class: "tags" }, each.does.map((does) => h("span", { class: "tag" }, t(does))))));
    const first = found.slice(0, FEW);
    const own = found.find((each) => each.name === choice.recipe);
    if (own && !first.includes(own)) first.splice(FEW - 1, 1, own);
    const rest = found.filter((each) => !first.includes(each));
    fill(recipes ?? main, step(2, t("Recipe"), h("fieldset", { class: "choices wide" }, h("legend", { class: "unseen" }, t("Recipe")), first.map((each) => card(each, found.indexOf(each)))),
      rest.length ? h("details", {}, h("summary", {}, t("More recipes that fit ({n})", { n: rest.length })), h("div", { class: "choices wide" }, rest.map((each) => card(each, FEW)))) : null));
    if (own) drawSettings();
  }

  async function drawSettings() {
    const place = settings ?? main;
    fill(place, step(3, t("Settings"), waiting()));
    const recipe = choice.recipe;
    try {
      const found = await get("/api/recipe", { name: recipe, data: choice.data, upload: choice.upload }, reading.signal);
      if (recipe !== choice.recipe) return;
      const draft = `train ${recipe} ${choice.data}${choice.upload}`;
      const fields = form(found.sections, { hidden: OWN, draft, first: ["minutes", "train.rounds", "lr"] });
      const taken = new Set(runs.map((/** @type {{run: string}} */ each) => each.run));
      const stem = `${recipe}-${(choice.data || choice.name || "own").replace(/\.\w+$/, "").replace(/[^\w.-]+/g, "-").replace(/^[-.]+|[-.]+$/g, "") || "own"}`;
      const folder = runs.length ? runs[0].run.replace(/[^/]*$/, "") : "runs/";
      let free = `${folder}${stem}`;
      for (let i = 2; taken.has(free); i++) free = `${folder}${stem}-${i}`;
      const typed = sessionStorage.getItem(`${draft} name`);
      const out = h("input", { id: "out", type: "text", value: typed && !taken.has(typed) ? typed : free, required: true, autocomplete: "off", spellcheck: "false",
        oninput: () => sessionStorage.setItem(`${draft} name`, out.value) });
      let minutes = sessionStorage.getItem("train minutes") ?? SHORT;
      const length = h("div", {}, segments(t("How long"), [[SHORT, t("About {n} minutes", { n: 5 })], ["20", t("About {n} minutes", { n: 20 })], ["", t("As long as the recipe says")]], minutes, (value) => {
        minutes = value;
        sessionStorage.setItem("train minutes", value);
      }), h("p", { class: "hint" }, t("Minutes, rounds or epochs that are filled in below take its place.")));
      const start = h("button", { class: "main" }, icon("train"), t("Start training"));
      fill(place, step(3, t("Settings"), h("form", { onsubmit: async (/** @type {Event} */ event) => {
        event.preventDefault();
        start.disabled = true;
        try {
          const typed = fields.values();
          const long = minutes && !LENGTHS.some((name) => name in typed) ? { minutes } : {};
          const values = { ...long, ...typed, recipe, out: out.value.trim(), ...(choice.data ? { "data.source": choice.data } : {}) };
          const uploads = { ...fields.uploads(), ...(choice.upload ? { "data.source": choice.upload } : {}) };
          const job = await begin("train", null, values, uploads);
          sessionStorage.setItem(`form of ${job}`, JSON.stringify({ place: location.hash, drafts: [draft, `${draft} name`] }));
          go(link(["job", job]));
        } catch (error) {
          complain(error);
          start.disabled = false;
        }
      } }, h("div", { class: "field" }, h("label", { for: "out" }, t("Name of the run")), out), length, fields.element, h("div", { class: "row end" }, start))));
    } catch (error) {
      if (!reading.signal.aborted) fill(place, problem(error instanceof Error ? error.message : String(error)));
    }
  }

  drawSource();
  await read();
}

/** @param {number} n @param {string} title @param {...import("../dom.js").Child} children */
const step = (n, title, ...children) => h("section", { class: "card step" }, h("h2", {}, h("span", { class: "numeral", "aria-hidden": "true" }, String(n)), title), ...children);

/** What was understood of the data.
 * @param {any} data */
function described(data) {
  if (!data) return null;
  const parts = [t("{n} to train on", { n: data.train })];
  if (data.validation) parts.push(t("{n} to choose weights by", { n: data.validation }));
  if (data.test) parts.push(t("{n} held out", { n: data.test }));
  const box = h("div", { class: "understood" }, h("p", {}, h("b", {}, data.spec), " · ", parts.join(", ")),
    data.classes?.length ? h("p", { class: "tags" }, data.classes.slice(0, 20).map((/** @type {string} */ each) => h("span", { class: "tag" }, each)), data.classes.length > 20 ? "…" : null) : null,
    (data.notes ?? []).map((/** @type {string} */ line) => h("p", { class: "note" }, line)),
    data.skipped?.length ? h("details", {}, h("summary", {}, t("{n} files cannot be used", { n: data.skipped.length })), h("ul", {}, data.skipped.map((/** @type {string} */ line) => h("li", {}, line)))) : null);
  append(box, examples(data.examples));
  return box;
}

/** @param {any} found */
function examples(found) {
  if (!found) return null;
  if (found.image) return picture(found.image, t("Some of the examples"));
  if (found.audio) return player(found.audio, t("Some of the examples"));
  if (found.texts) return h("ul", { class: "lines" }, found.texts.map((/** @type {string} */ line) => h("li", {}, line)));
  return table(found.columns ?? [], (found.rows ?? []).map((/** @type {any[]} */ row) => row.map((each) => (typeof each === "number" ? number(each, { maximumSignificantDigits: 4 }) : each))), t("Some of the examples"));
}
