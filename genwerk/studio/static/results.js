// @ts-check
// What a job finds, as it finds it.

import { address, get, listen, remove, where } from "./api.js";
import { announce, append, fill, h, icon } from "./dom.js";
import { figure, headed, language, named, t } from "./i18n.js";
import { here, link, whenLeft } from "./pages.js";
import { badge, complain, going, picture, problem, table } from "./parts.js";
import { player } from "./sounds.js";

/** Tables whose heads are words of ours. */
const OURS = ["curve.csv", "front.csv"];
/** Files that say again what the page of the report says. */
const AGAIN = ["report.csv", "report.md", "sweep.csv"];
/** Rows of a file that are shown. */
const ROWS = 200;

/**
 * Follow a job, and show all that it tells.
 * @param {string} job
 * @param {object} [on]
 * @param {(told: any) => boolean|void} [on.told]  sees each message first; true keeps it from being shown
 * @param {(state: string) => void} [on.over]
 * @param {(told: any) => void} [on.progress]  sees how far it is
 * @param {() => void} [on.lost]  where nobody knows of it any more
 * @param {boolean} [on.training]  whether it can be resumed, so that it is stopped and not cancelled
 */
export function follow(job, on = {}) {
  const head = h("div", { class: "row between" });
  const bar = h("progress", { max: 1, hidden: true });
  const doing = h("p", { class: "hint" });
  const coming = h("div", { class: "coming" });
  const body = h("div", { class: "found" });
  const element = h("section", { class: "results", "aria-label": t("Result") }, head, bar, doing, coming, body);
  let state = "queued";
  let stop = () => {};

  /** Told so while it is stopping already, it is killed. */
  const kill = () => remove("/api/jobs", { job }).catch(complain);
  const end = () => {
    const before = state;
    state = "stopping";
    heading(null);
    remove("/api/jobs", { job }).catch((error) => { state = before; heading(null); complain(error); });
  };
  const heading = (/** @type {number|null} */ place) => {
    const active = going(state);
    fill(head, h("div", { class: "row" }, badge(on.training && state === "cancelled" ? "stopped" : state), state === "queued" && place ? h("span", { class: "hint" }, t("place {n} in the queue", { n: place })) : null,
      state === "stopping" && on.training ? h("span", { class: "hint" }, t("The round being played is finished and saved first.")) : null),
      active && state === "stopping" ? h("button", { type: "button", onclick: kill }, icon("stop"), t("End at once")) : active ? h("button", { type: "button", onclick: end }, icon("stop"), state === "measuring" ? t("Stop measuring") : on.training ? t("Stop") : t("Cancel")) : null);
    bar.hidden = !active || Boolean(on.training);
    if (state === "running" && !bar.hasAttribute("value")) bar.removeAttribute("value");
    element.setAttribute("aria-busy", String(active));
  };
  heading(null);
  const opened = listen("/api/job", { job }, {
    again: () => fill(body),
    message: (told) => {
      if (told.type === "state") {
        state = told.state;
        heading(told.place);
        announce(t(`job ${state}`));
        return;
      }
      if (told.type === "progress") {
        if (told.of) { bar.max = told.of; bar.value = told.done; bar.hidden = false; }
        doing.textContent = told.text;
        on.progress?.(told);
        return;
      }
      if (told.type === "frame") {
        const image = coming.querySelector("img");
        if (image) image.src = told.image;
        else fill(coming, picture(told.image, t("Samples on their way")));
        doing.textContent = t("Step {n}", { n: told.step });
        return;
      }
      if (told.type === "file") fill(coming);
      if (on.told?.(told)) return;
      append(body, shown(told));
    },
    lost: () => {
      state = "done";
      fill(head);
      fill(coming);
      bar.hidden = true;
      doing.textContent = "";
      element.setAttribute("aria-busy", "false");
      append(body, problem(t("This job is not known any more.")));
      on.lost?.();
    },
    end: () => {
      doing.textContent = "";
      fill(coming);
      if (body.querySelectorAll(".file").length > 1) append(head, h("a", { class: "button", href: address("/api/zip", { job }), download: "" }, icon("download"), t("All as .zip")));
      window.dispatchEvent(new Event("jobs"));
      on.over?.(state);
    },
  });
  stop = opened;
  whenLeft(stop);
  return { element, head, stop };
}

/** @param {any} told @returns {HTMLElement|null} */
export function shown(told) {
  switch (told.type) {
    case "note": return h("p", { class: "note" }, told.text);
    case "error": return problem(told.error);
    case "table": return table(told.columns, told.rows);
    case "figures": return told.whole !== false ? figures(told.values) : told.values.suggested ? suggestion(told.values) : null;
    case "file": return file(told);
    default: return null;
  }
}

/** The way from data that were looked at to a training of the recipe that is suggested for them.
 * @param {Record<string, any>} values */
function suggestion({ source, suggested }) {
  return h("p", { class: "row" }, h("a", { class: "button main", href: link(["train"], { data: source, recipe: suggested.recipe }) }, icon("train"), t("Train {recipe} on these data", { recipe: suggested.recipe })),
    h("span", { class: "hint" }, suggested.why));
}

/** @param {Record<string, any>} values */
function figures(values) {
  const plain = Object.entries(values).filter(([, value]) => value === null || typeof value !== "object" || (Array.isArray(value) && value.length < 40 && value.every((each) => typeof each !== "object")));
  if (!plain.length) return null;
  return h("dl", { class: "figures" }, plain.map(([name, value]) => h("div", {}, h("dt", {}, named(name)),
    h("dd", {}, typeof value === "number" ? figure(value) : Array.isArray(value) ? value.join(", ") : value === null ? "–" : String(value)))));
}

/** @param {{url: import("./api.js").Named, name: string, kind: string, about?: any}} told */
export function file(told) {
  const { name, kind } = told;
  const url = where(kind === "page" && typeof told.url !== "string" ? { ...told.url, lang: language() } : told.url);
  const save = h("a", { class: "button", href: url, download: name.split("/").at(-1) }, icon("download"), t("Download"), h("span", { class: "unseen" }, ` ${name}`));
  const foot = h("div", { class: "row between foot" }, h("span", { class: "hint name" }, name),
    h("div", { class: "row" }, kind === "page" ? h("a", { class: "button", href: url, target: "_blank", rel: "noopener" }, t("Open the report")) : null, save));
  const more = parameters(told);
  if (kind === "image") return h("div", { class: "file" }, picture(url, told.about?.caption ?? name), more, foot);
  if (kind === "sound") return h("div", { class: "file" }, player(url, name), more, foot);
  if ((kind === "text" || kind === "table") && !AGAIN.includes(name.split("/").at(-1) ?? "")) {
    const box = h("div", { class: "waiting" }, t("Loading"));
    fetch(url).then((reply) => reply.text()).then((text) => {
      box.classList.remove("waiting");
      if (kind === "text") fill(box, h("pre", { tabindex: 0 }, text.slice(0, 20_000)));
      else {
        const [columns = [], ...rows] = rowsOf(text, name.endsWith(".tsv") ? "\t" : ",");
        fill(box, table(OURS.includes(name) ? columns.map(headed) : columns, rows.slice(0, ROWS).map((row) => row.map(short))), rows.length > ROWS ? h("p", { class: "hint" }, t("The first {n} of {all} rows are shown.", { n: ROWS, all: rows.length })) : null);
      }
    }, complain);
    return h("div", { class: "file" }, box, more, foot);
  }
  return h("div", { class: "file" }, foot);
}

/** How a file came about, and the way to more of its seed.
 * @param {{about?: any}} told */
function parameters(told) {
  const origin = /** @type {Record<string, any>} */ (told.about?.origin ?? {});
  const known = Object.entries(origin).filter(([, value]) => value !== null && value !== "" && typeof value !== "object");
  if (!known.length) return null;
  const { parts } = here();
  const more = parts[0] === "run" && parts[2] !== "sample" && origin.seed !== undefined && origin.first !== undefined;
  return h("details", { class: "parameters" }, h("summary", {}, t("Parameters ({n})", { n: known.length })),
    h("dl", { class: "figures" }, known.map(([name, value]) => h("div", {}, h("dt", {}, named(name)), h("dd", {}, String(value))))),
    more ? h("a", { href: link(["run", parts[1] ?? "", "sample"], { seed: origin.seed, first: origin.first }) }, t("More like this seed")) : null);
}

/** A cell of a file as it is read: of a long fraction five digits.
 * @param {string} cell */
const short = (cell) => (/^-?\d+\.\d{5,}(e[-+]?\d+)?$/i.test(cell) ? String(Number(Number(cell).toPrecision(5))) : cell);

/** The rows of a table in CSV, cells in quotes included.
 * @param {string} text @param {string} between */
export function rowsOf(text, between) {
  /** @type {string[][]} */
  const rows = [];
  /** @type {string[]} */
  let row = [];
  let cell = "", quoted = false;
  for (let i = 0; i < text.length; i++) {
    const sign = text[i] ?? "";
    if (quoted) {
      if (sign !== '"') cell += sign;
      else if (text[i + 1] === '"') cell += text[++i];
      else quoted = false;
    } else if (sign === '"') quoted = true;
    else if (sign === between) { row.push(cell); cell = ""; }
    else if (sign === "\n") { row.push(cell.replace(/\r$/, "")); rows.push(row); row = []; cell = ""; }
    else cell += sign;
  }
  if (cell || row.length) rows.push([...row, cell]);
  return rows;
}

/** The job of that name in the list, or null.
 * @param {string} job @returns {Promise<import("./types.js").Job|null>} */
export const find = async (job) => (await get("/api/jobs")).find((/** @type {any} */ each) => each.job === job) ?? null;
