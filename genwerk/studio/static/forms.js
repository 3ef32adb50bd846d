// @ts-check
// A form of any list of sections, as the server derives them from a command's options.

import { get, upload, where } from "./api.js";
import { append, fill, h, icon, unique } from "./dom.js";
import { closed, language, named, spelt, t, valued } from "./i18n.js";
import { complain } from "./parts.js";

/** @typedef {import("./types.js").Field} Field */
/** @typedef {import("./types.js").Section} Section */
/**
 * @typedef {object} Control  A field as it is shown.
 * @property {HTMLElement} element
 * @property {() => any} value
 * @property {(value: any) => void} set
 * @property {() => string|null} upload  the upload that stands in its place
 */

/** Fields that a file can be handed in for, where the server says nothing of it. */
const FILES = ["input", "images", "mask", "known", "a", "b", "source", "data.source", "data.to", "data.test", "data.labels"];
/** Fields whose values are names of classes: a user's own words. */
const NAMED = ["label", "attribute"];
/** Sections whose fields are shown at once, and not behind their heading. */
const OPEN = ["options", "sampling", "train", ""];
/** A first section of at most so many fields is shown whole where none is marked as common. */
const FEW = 9;

/**
 * @param {Section[]} sections
 * @param {object} [how]
 * @param {string} [how.draft]  the key that what is typed is kept by, until it is sent
 * @param {string[]} [how.hidden]  fields that somebody else sets
 * @param {string[]} [how.first]  fields to be shown at once, whatever the sections say
 * @param {Record<string, any>} [how.values]  values to begin with
 */
export function form(sections, how = {}) {
  /** @type {Map<string, {control: Control, normal: string, required: boolean}>} */
  const controls = new Map();
  const kept = how.draft ? JSON.parse(sessionStorage.getItem(how.draft) ?? "{}") : {};
  /** What was suggested for fields, which is sent, and kept once it was changed. @type {Map<string, any>} */
  const suggested = new Map();
  const keep = () => how.draft && sessionStorage.setItem(how.draft, JSON.stringify(Object.fromEntries(
    Object.entries(values()).filter(([name, value]) => suggested.get(name) !== value))));

  /** What was chosen otherwise than the defaults, and what has no default. */
  function values() {
    /** @type {Record<string, any>} */
    const found = {};
    for (const [name, { control, normal, required }] of controls) {
      const value = control.value();
      if ((required && value !== "") || suggested.has(name) || JSON.stringify(value) !== normal) found[name] = value;
    }
    return found;
  }

  function uploads() {
    /** @type {Record<string, string>} */
    const found = {};
    for (const [name, { control }] of controls) {
      const id = control.upload();
      if (id) found[name] = id;
    }
    return found;
  }

  /** The field of a setting that a sentence names, whole or by its end. @param {string} setting */
  const fieldOf = (setting) => {
    const alike = [...controls.keys()].filter((name) => name.endsWith(`.${setting}`) || setting.endsWith(`.${name}`));
    return controls.has(setting) ? setting : alike.length === 1 ? alike[0] : undefined;
  };

  const element = h("div", { class: "fields", onchange: keep, oninput: keep });
  sections.forEach((section, place) => {
    const later = new Set(sections.slice(place + 1).flatMap((each) => each.fields.map((field) => field.name)));
    const fields = section.fields.filter((field) => !how.hidden?.includes(field.name) && !later.has(field.name));
    if (!fields.length) return;
    const built = fields.map((field) => {
      const control = controlOf(field, keep);
      controls.set(field.name, { control, normal: JSON.stringify(control.value()), required: field.required && field.type === "choice" });
      const start = kept[field.name] ?? how.values?.[field.name];
      if (start !== undefined) control.set(start);
      return { field, control };
    });
    const marked = (/** @type {Field} */ field) => field.common || field.positional || how.first?.includes(field.name);
    const open = place === 0 || OPEN.includes(section.title);
    const all = open && fields.length <= FEW && !fields.some((field) => field.common);
    const few = built.filter(({ field }) => all || (open && marked(field)));
    const rest = built.filter((each) => !few.includes(each));
    const heading = place === 0 ? null : h("h3", {}, titled(section.title));
    const shown = few.length ? h("div", { class: "grid" }, few.map(({ control }) => control.element)) : null;
    const folded = rest.length ? h("details", {},
      h("summary", {}, few.length || !heading ? t("More settings ({n})", { n: rest.length }) : t("{meaning} ({value})", { meaning: titled(section.title), value: rest.length })),
      section.about ? h("p", { class: "hint" }, t(section.about)) : null,
      h("div", { class: "grid" }, rest.map(({ control }) => control.element))) : null;
    element.append(h("section", { class: "part" }, few.length ? heading : null, shown ?? "", folded ?? ""));
  });
  return {
    element, values, uploads,
    /** @param {string} name @param {any} value */
    set: (name, value) => { controls.get(name)?.control.set(value); keep(); },
    /** Suggest a value of a field that was not changed by hand. @param {string} name @param {any} value */
    suggest: (name, value) => {
      const known = controls.get(name);
      if (!known || (JSON.stringify(known.control.value()) !== known.normal && known.control.value() !== suggested.get(name))) return;
      suggested.set(name, value);
      known.control.set(value);
    },
    /** Whether any of these settings is in the form. @param {string[]} settings */
    knows: (settings) => settings.some((each) => fieldOf(each) !== undefined),
    /** Say at the first of these settings that is in the form why it cannot be; false where none is.
     * @param {string[]} settings @param {string} why */
    refuse(settings, why) {
      const name = settings.map(fieldOf).find((each) => each !== undefined);
      const field = name === undefined ? undefined : controls.get(name)?.control.element;
      if (!field) return false;
      refuse(field, why);
      return true;
    },
    /** @param {string} name */
    value: (name) => controls.get(name)?.control.value(),
    /** @param {string} name */
    has: (name) => controls.has(name),
    /** Forget what was typed and is now sent elsewhere. */
    forget: () => how.draft && sessionStorage.removeItem(how.draft),
  };
}

/**
 * Say below a control why its value cannot be; without a reason nothing is wrong with it.
 * @param {HTMLElement} field  what the control stands in @param {string} why
 */
export function mark(field, why) {
  const control = field.querySelector("input:not([type=file]), select, textarea");
  let said = field.querySelector(".wrong");
  if (!said) {
    said = h("p", { class: "wrong", role: "alert", id: unique("wrong") });
    append(field, said);
    control?.setAttribute("aria-describedby", [control.getAttribute("aria-describedby"), said.id].filter(Boolean).join(" "));
  }
  said.textContent = why;
  if (why) control?.setAttribute("aria-invalid", "true");
  else control?.removeAttribute("aria-invalid");
}

/**
 * Say at a control why its value was refused, until it is changed, and go there.
 * @param {HTMLElement} field @param {string} why
 */
export function refuse(field, why) {
  for (let fold = field.closest("details"); fold; fold = fold.parentElement?.closest("details") ?? null) fold.open = true;
  mark(field, why);
  /** @type {HTMLElement|null} */ (field.querySelector("[aria-invalid]"))?.focus();
  field.addEventListener("input", () => mark(field, ""), { once: true });
}

/** What a section is called: `train.optim.critic` is the optimiser of the critic, `model.prior.network` the network of
 * the prior.
 * @param {string} title */
function titled(title) {
  const [first = "", ...parts] = title.split(".");
  const plain = (/** @type {string} */ name) => {
    const words = name.replaceAll("_", " ");
    return language() === "en" || t(words) !== words ? t(words) : (named(name) ?? words);
  };
  if (parts[0] === "optim") return closed(t("Optimiser of the {player}", { player: parts.slice(1).map(plain).join(" ") }));
  const [head = first, ...rest] = parts;
  return rest.reduce((whole, part) => t("{whole}: {part}", { whole, part: plain(part) }), language() === "en" ? spelt(head) : plain(head));
}

/** The default of a field, as its control has it.
 * @param {Field} field */
function normal(field) {
  if (field.type === "switch") return field.value === true || field.value === "true" || field.value === "True";
  if (field.type === "many") return field.value ?? [];
  return field.value === null || field.value === undefined ? "" : String(field.value);
}

/** @param {Field} field @param {() => void} changed @returns {Control} */
function controlOf(field, changed) {
  const id = unique(field.name);
  const help = field.help ? h("p", { class: "hint", id: `${id}-help` }, closed(t(field.help).replace(/\bNone\b/g, t("Automatic")))) : null;
  const said = { id, "aria-describedby": help ? `${id}-help` : null, name: field.name };
  const label = h("label", { for: id, title: field.flag }, named(field.name, field.type));
  const none = () => null;
  if (field.type === "switch") {
    const box = h("input", { ...said, type: "checkbox", role: "switch", checked: normal(field) });
    return { element: h("div", { class: "field switch" }, h("div", { class: "row" }, box, label), help), upload: none,
      value: () => box.checked, set: (value) => { box.checked = value === true || value === "true"; } };
  }
  if (field.type === "choice") return choiceOf(field, said, label, help);
  if (field.type === "many" && field.choices?.length) return severalOf(field, help);
  if (field.run) return runOf(field, said, label, help, changed);
  if (field.type === "many") {
    const lines = field.of === "text" || field.of === undefined;
    const box = lines ? h("textarea", { ...said, rows: 2, placeholder: t("one in each line") }) : h("input", { ...said, type: "text", inputmode: "text", placeholder: t("numbers, with spaces between") });
    const set = (/** @type {any} */ value) => { box.value = [value ?? []].flat().join(lines ? "\n" : " "); };
    set(normal(field));
    return withUpload(field, label, box, help, {
      value: () => box.value.split(lines ? "\n" : /[\s,;，；]+/).map((each) => each.trim()).filter(Boolean), set }, changed);
  }
  const whole = field.type === "integer";
  const numeric = (whole || field.type === "number") && !Number.isNaN(Number(normal(field)));
  const input = h("input", { ...said, type: numeric ? "number" : "text", step: numeric ? (whole ? 1 : "any") : null, min: field.least ?? null,
    required: !field.optional && field.value === null ? true : null, placeholder: field.optional ? t("Automatic") : null, autocomplete: "off", spellcheck: "false" });
  input.value = normal(field);
  return withUpload(field, label, input, help, { value: () => input.value.trim(), set: (value) => { input.value = value ?? ""; } }, changed);
}

/**
 * One of a list; where it is told what each is (`told`), those that are alike stand together, and the chosen one says so.
 * @param {Field} field @param {Record<string, any>} said @param {HTMLElement} label @param {HTMLElement|null} help @returns {Control}
 */
function choiceOf(field, said, label, help) {
  const { choices = [], told } = field;
  const own = told || NAMED.includes(field.name);
  const option = (/** @type {string} */ each) => h("option", { value: each }, own ? each : valued(field.name, each));
  const groups = told ? [...new Set(choices.map((each) => told[each] ?? ""))] : [];
  const select = h("select", { ...said, onchange: () => say() }, field.optional ? h("option", { value: "" }, told ? "–" : t("Automatic")) : null,
    told && groups.length < choices.length ? groups.map((group) => h("optgroup", { label: t(group) }, choices.filter((each) => told[each] === group).map(option))) : choices.map(option));
  const what = h("p", { class: "hint what" });
  const say = () => { what.textContent = told ? t(told[select.value] ?? "") : ""; };
  const set = (/** @type {any} */ value) => { select.value = value ?? ""; say(); };
  set(normal(field) || (field.optional ? "" : choices[0]));
  return { element: h("div", { class: "field" }, label, select, told ? what : null, help), upload: () => null, value: () => select.value, set };
}

/** @param {Field} field @param {HTMLElement|null} help @returns {Control} */
function severalOf(field, help) {
  const boxes = (field.choices ?? []).map((each) => h("input", { type: "checkbox", value: each, checked: normal(field).includes(each) }));
  return { element: h("fieldset", { class: "field checks" }, h("legend", { title: field.flag }, named(field.name)),
    h("div", { class: "row" }, boxes.map((box) => h("label", {}, box, valued(field.name, box.value)))), help), upload: () => null,
  value: () => boxes.filter((box) => box.checked).map((box) => box.value),
  set: (value) => boxes.forEach((box) => { box.checked = [value].flat().includes(box.value); }) };
}

/**
 * A field that names runs: those that there are, to choose from.
 * @param {Field} field @param {Record<string, any>} said @param {HTMLElement} label @param {HTMLElement|null} help @param {() => void} changed
 * @returns {Control}
 */
function runOf(field, said, label, help, changed) {
  const several = field.type === "many";
  /** @type {string[]} */
  let chosen = [normal(field)].flat().filter(Boolean);
  const box = h("div", several ? { ...said, class: "checks runs-to-choose", role: "group" } : {});
  const draw = (/** @type {import("./types.js").RunEntry[]} */ runs) => {
    if (several) fill(box, runs.length ? runs.map(({ run, recipe, picture }) => h("label", { class: "choice" },
      h("input", { type: "checkbox", value: run, checked: chosen.includes(run), onchange: (/** @type {Event} */ event) => {
        const on = /** @type {HTMLInputElement} */ (event.target).checked;
        chosen = on ? [...chosen, run] : chosen.filter((each) => each !== run);
        changed();
      } }), picture ? h("img", { src: where(picture), alt: "", loading: "lazy" }) : null, h("span", {}, h("b", {}, run), " ", h("small", {}, recipe)))) : t("There is no run yet."));
    else {
      const select = h("select", { ...said, onchange: () => { chosen = select.value ? [select.value] : []; } },
        field.optional || !chosen.length ? h("option", { value: "" }, "–") : null,
        runs.map(({ run, recipe }) => h("option", { value: run, selected: chosen[0] === run }, `${run} (${recipe})`)));
      fill(box, select);
    }
  };
  /** @type {import("./types.js").RunEntry[]} */
  let known = [];
  draw(known);
  get("/api/runs").then((found) => draw((known = found)), complain);
  return { element: h("div", { class: "field wide" }, several ? h("span", { class: "label" }, named(field.name)) : label, box, help), upload: () => null,
    value: () => (several ? chosen : (chosen[0] ?? "")), set: (value) => { chosen = [value ?? []].flat(); draw(known); } };
}

/**
 * A field that takes a file too where an upload can stand for it.
 * @param {Field} field @param {HTMLElement} label @param {HTMLElement} input @param {HTMLElement|null} help
 * @param {{value: () => any, set: (value: any) => void}} text @param {() => void} changed
 * @returns {Control}
 */
function withUpload(field, label, input, help, text, changed) {
  const wide = input instanceof HTMLTextAreaElement ? " wide" : "";
  if (!(field.file ?? FILES.includes(field.name))) return { element: h("div", { class: `field${wide}` }, label, input, help), upload: () => null, ...text };
  /** @type {string|null} */
  let id = null;
  const said = h("span", { class: "hint" });
  const drop = h("button", { type: "button", class: "quiet round", hidden: true, "aria-label": t("Without the upload"), onclick: () => {
    id = null;
    said.textContent = "";
    drop.hidden = true;
    input.removeAttribute("disabled");
    file.value = "";
  } }, icon("close"));
  const own = unique("upload");
  const file = h("input", { type: "file", id: own, class: "unseen", multiple: true, onchange: async () => {
    const files = [...(file.files ?? [])];
    if (!files.length) return;
    said.textContent = t("Uploading {n} files", { n: files.length });
    try {
      const found = await upload(files);
      id = found.upload;
      said.textContent = found.name;
      drop.hidden = false;
      input.setAttribute("disabled", "");
      changed();
    } catch (error) {
      said.textContent = "";
      complain(error);
    }
  } });
  const choose = h("label", { for: own, class: "button" }, icon("upload"), t("Own file"), h("span", { class: "unseen" }, ` (${named(field.name)})`));
  return { element: h("div", { class: `field${wide}` }, label, h("div", { class: "row nowrap" }, input, file, choose), h("div", { class: "row" }, said, drop), help),
    upload: () => id, ...text };
}
