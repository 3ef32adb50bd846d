// @ts-check
// Parts that several views show.

import { fill, h, icon, unique } from "./dom.js";
import { listed, staged, t } from "./i18n.js";

/** @param {string} sentence */
export const problem = (sentence) => h("div", { class: "problem", role: "alert" }, sentence);

/** @param {string} text */
export const waiting = (text = t("Loading")) => h("p", { class: "waiting" }, h("span", { class: "spinner", "aria-hidden": "true" }), text);

/** @param {string} sentence @param {import("./dom.js").Child[]} more */
export const empty = (sentence, ...more) => h("div", { class: "empty" }, h("p", {}, sentence), ...more);

/** @param {string} state */
export function badge(state) {
  const words = { "going on": "Training now", starting: "Starting", measuring: "Measuring", stopping: "Stopping", stopped: "Stopped", finished: "Finished", queued: "Waiting", running: "Running", done: "Done", failed: "Failed", cancelled: "Cancelled" };
  return h("span", { class: `badge ${state.replace(" ", "-")}` }, t(/** @type {Record<string, string>} */ (words)[state] ?? state));
}

/** How a run stands, as the library says it, in the language of the page.
 * @param {string} said */
export function standing(said) {
  const number_ = (/** @type {string|undefined} */ text) => Number((text ?? "").replaceAll(",", ""));
  const done = said.match(/^Trained for ([\d,]+) rounds$/), going_on = said.match(/^(Training:|Stopped at) round ([\d,]+) of ([\d,]+), stage (.*)$/);
  if (done) return t("Trained for {n} rounds", { n: number_(done[1]) });
  if (!going_on) return t(said);
  const where = { round: number_(going_on[2]), rounds: number_(going_on[3]), stage: staged(going_on[4] ?? "") };
  return going_on[1] === "Training:" ? t("Training: round {round} of {rounds}, stage {stage}", where) : t("Stopped at round {round} of {rounds}, stage {stage}", where);
}

/** Whether a job in this state is not over.
 * @param {string} state */
export const going = (state) => ["queued", "running", "starting", "measuring", "stopping"].includes(state);

/** A data set in words: what its examples are, and of how many classes.
 * @param {{kind: string, shape?: number[], classes?: string[], class_count?: number, said?: string}} of */
export function inWords({ kind, shape = [], classes = [], class_count = classes.length, said = "" }) {
  const [first = 0, height = 0, width = 0] = shape;
  const colour = first === 1 ? t("grey") : first === 3 ? t("in colour") : first === 4 ? t("in colour, with transparency") : "";
  const what = kind === "image" ? listed([t("images of {width} × {height} pixels", { width: String(width), height: String(height) }), colour])
    : kind === "table" ? t("rows of {n} columns", { n: first })
    : kind === "text" ? (said.includes("characters") ? t("texts of up to {n} characters", { n: first }) : t("texts of up to {n} tokens", { n: first }))
    : said || t(kind);
  return listed([what, class_count ? t("{n} classes", { n: class_count }) : "", said.includes("captions") && kind === "image" ? t("with captions") : ""]);
}

/**
 * A sentence that leaves by itself, with something that can be done about it.
 * @param {string} sentence @param {{name: string, act: () => void}} [action]
 */
export function toast(sentence, action) {
  const box = h("div", { class: "toast", role: "status" }, h("span", {}, sentence),
    action && h("button", { type: "button", onclick: () => { box.remove(); action.act(); } }, action.name),
    h("button", { type: "button", class: "quiet round", "aria-label": t("Close"), onclick: () => box.remove() }, icon("close")));
  document.getElementById("toasts")?.append(box);
  setTimeout(() => box.remove(), action ? 20_000 : 8_000);
}

/** @param {unknown} error */
export const complain = (error) => toast(error instanceof Error ? error.message : String(error));

/**
 * A picture that opens large.
 * @param {string} url @param {string} alt @param {string} [caption]
 */
export function picture(url, alt, caption) {
  const image = h("img", { src: url, alt, loading: "lazy", onload: () => image.classList.toggle("tiny", image.naturalWidth < 300) });
  return h("figure", { class: "picture" },
    h("button", { type: "button", class: "bare", "aria-label": t("Enlarge: {what}", { what: alt }), onclick: () => enlarge(url, alt) }, image),
    caption ? h("figcaption", {}, caption) : null);
}

/** @param {string} url @param {string} alt */
export function enlarge(url, alt) {
  const image = h("img", { src: url, alt });
  const dialog = h("dialog", { class: "large", "aria-label": alt, onclose: () => dialog.remove(),
    onclick: (/** @type {Event} */ event) => event.target === dialog && dialog.close() },
  h("div", { class: "row end" }, h("a", { class: "button", href: url, download: "" }, icon("download"), t("Download")),
    h("button", { type: "button", onclick: () => dialog.close() }, t("Close"))), image);
  document.body.append(dialog);
  dialog.showModal();
  image.classList.toggle("tiny", image.naturalWidth > 0 && image.naturalWidth < 600);
}

/**
 * Rows below the names of their columns; numbers stand at the right.
 * @param {string[]} columns @param {any[][]} rows @param {string} [caption]
 */
export function table(columns, rows, caption) {
  const numeric = columns.map((_, i) => rows.length > 0 && rows.every((row) => row[i] === "" || row[i] === null || /^[-+−]?[\d.,]+(e[-+]?\d+)?( ?[%±].*)?$/i.test(String(row[i]))));
  const head = columns.some(Boolean) ? h("thead", {}, h("tr", {}, columns.map((name, i) => h("th", { scope: "col", class: numeric[i] ? "number" : null }, t(name))))) : null;
  return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption ?? t("Table") },
    h("table", {}, caption ? h("caption", {}, caption) : null, head,
      h("tbody", {}, rows.map((row) => h("tr", {}, row.map((cell, i) => h("td", { class: numeric[i] ? "number" : null, "data-name": columns[i] ? t(columns[i]) : null }, shown(cell))))))));
}

/** @param {any} cell */
const shown = (cell) => (cell === null || cell === undefined ? "–" : typeof cell === "object" ? JSON.stringify(cell) : String(cell));

/**
 * One of several, shown as a row of buttons.
 * @param {string} legend @param {[string, string][]} choices value and name of each
 * @param {string} value @param {(value: string) => void} change
 */
export function segments(legend, choices, value, change) {
  const name = unique("segments");
  return h("fieldset", { class: "segments" }, h("legend", { class: "unseen" }, legend),
    choices.map(([each, title]) => h("label", {},
      h("input", { type: "radio", name, value: each, checked: each === value, onchange: () => change(each) }), h("span", {}, title))));
}

/**
 * A slider with its name and its value.
 * @param {string} name @param {{min: number, max: number, step: number, value: number, text?: (value: number) => string}} range
 * @param {(value: number) => void} change
 */
export function slider(name, range, change) {
  const id = unique("slider");
  const text = range.text ?? ((/** @type {number} */ value) => value.toFixed(2));
  const said = h("output", { for: id }, text(range.value));
  const input = h("input", { id, type: "range", min: range.min, max: range.max, step: range.step, oninput: () => {
    said.textContent = text(input.valueAsNumber);
    change(input.valueAsNumber);
  } });
  input.value = String(range.value);
  return { element: h("div", { class: "slider" }, h("label", { for: id }, name), input, said),
    set: (/** @type {number} */ value) => { input.value = String(value); said.textContent = text(value); } };
}

/**
 * Where files are dropped, or chosen.
 * @param {{label: string, accept?: string, several?: boolean, folder?: boolean, taken?: string}} how  `taken` is what was handed in before
 * @param {(files: File[]) => Promise<void>} take
 */
export function dropzone(how, take) {
  const said = h("p", { class: "hint", "aria-live": "polite" }, how.taken);
  const taken = async (/** @type {FileList|File[]|null|undefined} */ list) => {
    const files = [...(list ?? [])];
    if (!files.length) return;
    fill(said, waiting(t("Uploading {n} files", { n: files.length })));
    zone.classList.add("busy");
    try {
      await take(files);
      said.textContent = files.length === 1 ? (files[0]?.name ?? "") : t("{n} files", { n: files.length });
    } catch (error) {
      fill(said, problem(error instanceof Error ? error.message : String(error)));
    } finally {
      zone.classList.remove("busy");
    }
  };
  const file = unique("file");
  const input = h("input", { id: file, type: "file", class: "unseen", accept: how.accept, multiple: how.several, onchange: () => taken(input.files) });
  const folder = how.folder ? h("input", { id: `${file}-folder`, type: "file", class: "unseen", webkitdirectory: true, onchange: () => taken(folder?.files) }) : null;
  const zone = h("div", { class: "dropzone",
    ondragover: (/** @type {DragEvent} */ event) => { event.preventDefault(); zone.classList.add("over"); },
    ondragleave: () => zone.classList.remove("over"),
    ondrop: (/** @type {DragEvent} */ event) => { event.preventDefault(); zone.classList.remove("over"); taken(event.dataTransfer?.files); } },
  input, folder, h("span", { class: "row centre" },
    h("label", { for: file, class: "button" }, icon("upload"), how.label),
    folder ? h("label", { for: `${file}-folder`, class: "button" }, t("A whole folder")) : null),
  h("span", { class: "hint" }, t("or drop it here")), said);
  return zone;
}
