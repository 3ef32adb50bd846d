// @ts-check
// A training: which data, which recipe, which settings. Each choice stands in the address.

import { begin, get, Refused, upload } from "../api.js";
import { announce, append, fill, h, icon, paused, unique } from "../dom.js";
import { form, mark, refuse } from "../forms.js";
import { listed, named, number, t } from "../i18n.js";
import { go, here, link, note, whenLeft } from "../pages.js";
import { complain, dropzone, inWords, picture, problem, segments, table, waiting } from "../parts.js";
import { player } from "../sounds.js";

/** Recipes that are shown at once. */
const FEW = 6;
/** Minutes that a training takes unless something else is chosen, so that one sees own results soon; and what else says so. */
const SHORT = "5", LENGTHS = ["minutes", "train.rounds", "epochs"];
/** Minutes of a year, the longest that a training may be. */
const YEAR = 366 * 24 * 60;
/** Settings of the data that come first. */
const READING = ["data.label", "data.covariates", "data.text", "data.labels", "data.size", "data.tokens", "data.to", "data.rate", "data.limit"];
/** Settings that the page sets itself, or that belong to a terminal. */
const OWN = ["recipe", "out", "resume", "config", "from_run", "data.source", "tensorboard"];

/** @param {HTMLElement} main */
export async function show(main) {
  const { query } = here();
  const choice = { data: query.get("data") ?? "", upload: query.get("upload") ?? "", name: query.get("name") ?? "", files: query.get("files") ?? "", recipe: query.get("recipe") ?? "", how: query.get("how") ?? "" };
  const [builtin, runs] = await Promise.all([get("/api/builtin"), get("/api/runs")]);
  choice.how ||= choice.upload ? "upload" : !choice.data || builtin.some((/** @type {{name: string}} */ each) => each.name === choice.data) ? "builtin" : "folder";
  const [source, understood, reads, recipes, settings] = [1, 2, 3, 4, 5].map(() => h("div", {}));
  /** How the data are read. @type {ReturnType<typeof form>|null} */
  let reader = null;
  /** @type {AbortController} */
  let reading = new AbortController();
  whenLeft(() => reading.abort());
  fill(main, h("h1", {}, t("Train a model")), h("p", { class: "lead" }, t("Choose data, choose a recipe, and watch it learn.")),
    step(1, t("Data"), segments(t("Where the data come from"), [["builtin", t("Built-in")], ["upload", t("Upload")], ["folder", t("In this folder")]], choice.how, (how) => { choice.how = how; note({ how }); drawSource(); }), source, understood, reads), recipes, settings);

  function keep() {
    note(choice);
  }
  /** @param {Record<string, string>} of */
  function chosen(of) {
    Object.assign(choice, { data: "", upload: "", name: "", files: "", recipe: "" }, of);
    keep();
    drawReader().then(read, complain);
  }

  /** Files of the newest upload that were left out, and why. @type {string[]} */
  let refused = [];

  function drawSource() {
    if (choice.how === "builtin") {
      const group = unique("data");
      fill(source ?? main, h("fieldset", { class: "choices" }, h("legend", { class: "unseen" }, t("Built-in data")), builtin.map((/** @type {{name: string, about?: string}} */ each) => h("label", { class: "choice" },
        h("input", { type: "radio", name: group, value: each.name, checked: choice.data === each.name, onchange: () => chosen({ data: each.name }) }), h("span", {}, h("b", {}, each.name), h("small", {}, t(each.about ?? `data:${each.name}`)))))));
    } else if (choice.how === "upload") {
      fill(source ?? main, dropzone({ label: t("Choose files"), several: true, folder: true, taken: choice.name || (choice.upload ? t("{n} files", { n: Number(choice.files) }) : "") }, async (files) => {
        const found = await upload(files);
        refused = found.skipped;
        chosen({ upload: found.upload, name: found.files > 1 ? "" : found.name, files: String(found.files) });
      }), h("p", { class: "hint" }, t("Images, sounds, texts or a table; a .zip with a folder for each class brings labels along.")));
    } else {
      const path = h("input", { id: "path", type: "text", value: choice.data, autocomplete: "off", spellcheck: "false", placeholder: "photos/" });
      fill(source ?? main, h("form", { class: "field", onsubmit: (/** @type {Event} */ event) => { event.preventDefault(); if (path.value.trim()) chosen({ data: path.value.trim() }); } },
        h("label", { for: "path" }, t("Folder or file below the one that the studio was opened in")), h("div", { class: "row nowrap" }, path, h("button", {}, t("Look")))));
    }
  }

  /** The settings of how the data are read, folded away until they are needed. */
  async function drawReader() {
    reader = null;
    fill(reads ?? main);
    if (!choice.data && !choice.upload) return;
    const sections = /** @type {import("../types.js").Section[]} */ (await get("/api/reading"));
    const place = (/** @type {import("../types.js").Field} */ field) => (READING.indexOf(field.name) + READING.length + 1) % (READING.length + 1);
    for (const section of sections) section.fields.sort((a, b) => place(a) - place(b));
    const again = h("button", {}, t("Read them again"));
    reader = form(sections, { draft: `data ${choice.data}${choice.upload}`, first: READING });
    fill(reads ?? main, h("details", { class: "reading" }, h("summary", {}, t("How the data are read")),
      h("form", { onsubmit: (/** @type {Event} */ event) => { event.preventDefault(); read(); } }, reader.element, h("div", { class: "row end" }, again))));
  }

  /** What the server is asked for of these data, read so. @param {Record<string, string>} [more] */
  function wanted(more = {}) {
    const [values, uploads] = [reader?.values() ?? {}, reader?.uploads() ?? {}];
    for (const name of Object.keys(uploads)) delete values[name];
    const options = Object.keys({ ...values, ...uploads }).length ? JSON.stringify({ values, uploads }) : "";
    return { data: choice.data, upload: choice.upload, options, ...more };
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
      const found = await get("/api/recipes", wanted(), reading.signal);
      if (choice.upload && found.data) found.data.skipped = [...new Set([...refused, ...(found.data.skipped ?? [])])];
      fill(seen, described(found.data));
      announce(t("The data were read; {n} recipes fit.", { n: found.recipes.length }));
      drawRecipes(found.recipes);
    } catch (error) {
      if (reading.signal.aborted) return;
      const why = error instanceof Error ? error.message : String(error), of = error instanceof Refused ? error.settings : [];
      const typed = reader?.values() ?? {};
      if (reader?.refuse(of.filter((each) => each in typed), why)) return fill(seen);
      const fold = reader?.knows(of) ? reads?.querySelector("details") : null;
      if (fold) fold.open = true;
      fill(seen, problem(why), fold ? h("p", { class: "hint" }, t("Say below how they are to be read, or choose other data.")) : null);
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
      const found = await get("/api/recipe", wanted({ name: recipe }), reading.signal);
      if (recipe !== choice.recipe) return;
      const every = /** @type {import("../types.js").Field[]} */ (found.sections.flatMap((/** @type {import("../types.js").Section} */ each) => each.fields));
      const draft = `train ${recipe} ${choice.data}${choice.upload}`;
      const fields = form(found.sections, { hidden: [...OWN, ...LENGTHS, ...every.map((each) => each.name).filter((name) => name.startsWith("data."))], draft, first: ["lr", "evaluate"] });
      const taken = new Set(runs.map((/** @type {{run: string}} */ each) => each.run));
      const stem = `${recipe}-${(choice.data || choice.name || "own").replace(/\.\w+$/, "").replace(/[^\w.-]+/g, "-").replace(/^[-.]+|[-.]+$/g, "") || "own"}`;
      const folder = runs.length && runs.every((/** @type {{run: string}} */ each) => !each.run.includes("/")) ? "" : "runs/";
      let free = `${folder}${stem}`;
      for (let i = 2; taken.has(free); i++) free = `${folder}${stem}-${i}`;
      const typed = sessionStorage.getItem(`${draft} name`);
      const look = async () => {
        const name = out.value.trim();
        const { error } = await get("/api/name", { out: name });
        if (name === out.value.trim()) mark(called, error ?? "");
        return !error;
      };
      const soon = paused(() => look().catch(() => {}), 250);
      const out = h("input", { id: "out", type: "text", value: typed && !taken.has(typed) ? typed : free, required: true, autocomplete: "off", spellcheck: "false",
        oninput: () => { sessionStorage.setItem(`${draft} name`, out.value); soon(); } });
      const called = h("div", { class: "field" }, h("label", { for: "out" }, t("Name of the run")), out);
      const length = lengths(every, `${draft} length`);
      /** Say it at the first of these settings that the page has; false where there is none.
       * @param {string[]} settings @param {string} why */
      const refused = (settings, why) => {
        if (!settings.includes("out")) return [length, fields, reader].some((each) => each?.refuse(settings, why));
        refuse(called, why);
        return true;
      };
      const start = h("button", { class: "main" }, icon("train"), t("Start training"));
      fill(place, step(3, t("Settings"), h("form", { onsubmit: async (/** @type {Event} */ event) => {
        event.preventDefault();
        start.disabled = true;
        try {
          if (!(await look())) return out.focus();
          const values = /** @type {Record<string, any>} */ ({ ...length.values(), ...fields.values(), ...reader?.values(), recipe, out: out.value.trim(), ...(choice.data ? { "data.source": choice.data } : {}) });
          const uploads = { ...fields.uploads(), ...reader?.uploads(), ...(choice.upload ? { "data.source": choice.upload } : {}) };
          for (const name of Object.keys(uploads)) delete values[name];
          const job = await begin("train", null, values, uploads);
          sessionStorage.setItem(`form of ${job}`, JSON.stringify({ place: location.hash, drafts: [draft, `${draft} name`, `${draft} length`] }));
          go(link(["job", job]));
        } catch (error) {
          if (!(error instanceof Refused) || !refused(error.settings, error.message)) complain(error);
        } finally {
          start.disabled = false;
        }
      } }, called, length.element, fields.element, h("div", { class: "row end" }, start))));
    } catch (error) {
      if (!reading.signal.aborted) fill(place, problem(error instanceof Error ? error.message : String(error)));
    }
  }

  drawSource();
  await drawReader();
  await read();
}

/**
 * How long a training is to be: minutes, rounds or epochs, of which one is filled in, or as long as the recipe says.
 * @param {import("../types.js").Field[]} every @param {string} kept  the key that what is typed is kept by
 */
function lengths(every, kept) {
  const before = JSON.parse(sessionStorage.getItem(kept) ?? "{}");
  const fields = LENGTHS.map((name) => every.find((each) => each.name === name)).filter((each) => each !== undefined);
  const rounds = fields.find((each) => each.name === "train.rounds")?.value;
  const whole = h("input", { type: "checkbox", id: unique("whole"), checked: before.whole === true, onchange: () => changed() });
  const inputs = fields.map((field) => {
    const input = h("input", { id: unique(field.name), name: field.name, type: "number", min: field.name === "train.rounds" ? 1 : 0.001, max: field.name === "minutes" ? YEAR : null, step: field.name === "train.rounds" ? 1 : "any", autocomplete: "off",
      oninput: () => changed(input) });
    input.value = before[field.name] ?? "";
    return input;
  });
  const boxes = inputs.map((input) => h("div", { class: "field" }, h("label", { for: input.id }, named(input.name)), input));
  const element = h("fieldset", { class: "lengths" }, h("legend", {}, t("How long")),
    h("div", { class: "grid" }, boxes),
    h("div", { class: "row nowrap whole" }, whole, h("label", { for: whole.id }, rounds ? t("As long as the recipe says: {n} rounds", { n: Number(rounds) }) : t("As long as the recipe says"))),
    h("p", { class: "hint" }, t("One of these says how long; without any, training takes about {n} minutes.", { n: Number(SHORT) })));
  const values = () => {
    const typed = inputs.find((input) => input.value.trim());
    return whole.checked ? {} : typed ? { [typed.name]: typed.value.trim() } : { minutes: SHORT };
  };
  /** @param {HTMLInputElement} [by]  what was typed in */
  function changed(by) {
    if (by?.value) {
      whole.checked = false;
      for (const other of inputs) if (other !== by) other.value = "";
    } else if (!by && whole.checked) for (const each of inputs) each.value = "";
    const open = !whole.checked && inputs.every((each) => !each.value);
    for (const each of inputs) each.placeholder = open && each.name === "minutes" ? SHORT : "";
    sessionStorage.setItem(kept, JSON.stringify({ whole: whole.checked, ...Object.fromEntries(inputs.map((each) => [each.name, each.value])) }));
  }
  changed();
  /** @param {string[]} settings @param {string} why */
  const refused = (settings, why) => {
    const box = boxes[inputs.findIndex((input) => settings.includes(input.name))];
    if (box) refuse(box, why);
    return box !== undefined;
  };
  return { element, values, refuse: refused };
}

/** @param {number} n @param {string} title @param {...import("../dom.js").Child} children */
const step = (n, title, ...children) => h("section", { class: "card step" }, h("h2", {}, h("span", { class: "numeral", "aria-hidden": "true" }, String(n)), title), ...children);

/** @param {string} words */
const capital = (words) => words.charAt(0).toUpperCase() + words.slice(1);

/** What was understood of the data.
 * @param {any} data */
function described(data) {
  if (!data) return null;
  const parts = [t("{n} to train on", { n: data.train })];
  if (data.validation) parts.push(t("{n} to choose weights by", { n: data.validation }));
  if (data.test) parts.push(t("{n} held out", { n: data.test }));
  return h("div", { class: "understood" }, h("p", {}, h("b", {}, capital(inWords({ ...data, said: data.spec }))), " · ", listed(parts)),
    data.classes?.length ? h("p", { class: "tags" }, data.classes.slice(0, 20).map((/** @type {string} */ each) => h("span", { class: "tag" }, each)), data.classes.length > 20 ? "…" : null) : null,
    examples(data.examples),
    (data.notes ?? []).map((/** @type {string} */ line) => h("p", { class: "note" }, line)),
    data.skipped?.length ? h("details", {}, h("summary", {}, t("{n} files cannot be used", { n: data.skipped.length })), h("ul", {}, data.skipped.map((/** @type {string} */ line) => h("li", {}, line)))) : null);
}

/** @param {any} found */
function examples(found) {
  if (!found) return null;
  if (found.image) return picture(found.image, t("Some of the examples"));
  if (found.audio) return player(found.audio, t("Some of the examples"));
  if (found.texts) return h("ul", { class: "lines" }, found.texts.map((/** @type {string} */ line) => h("li", {}, line)));
  return table(found.columns ?? [], (found.rows ?? []).map((/** @type {any[]} */ row) => row.map((each) => (typeof each === "number" ? number(each, { maximumSignificantDigits: 4 }) : each))), t("Some of the examples"));
}
