// @ts-check
// Styles of samples: which give them to which, how near to the mean they are, and the table of what comes of it.

import { post } from "../api.js";
import { append, fill, h, icon, paused } from "../dom.js";
import { t } from "../i18n.js";
import { here, note } from "../pages.js";
import { complain, enlarge, segments, slider } from "../parts.js";
import { panel } from "./command.js";

/** Samples to choose from at once, and those that a table begins with. */
const OFFERED = 12, ROWS = [0, 1, 2], COLUMNS = [3, 4, 5];
/** Pictures that a table may have along a side. */
const MOST = 6;
const LEVELS = /** @type {Record<string, string>} */ ({ coarse: "Coarse", middle: "Middle", fine: "Fine" });

/** @param {HTMLElement} main @param {import("../types.js").Run} run @param {import("../types.js").Command} command */
export async function show(main, run, command) {
  const query = here().query;
  const numbers = (/** @type {string} */ name, /** @type {number[]} */ usual) => query.get(name)?.split(",").map(Number).filter(Number.isInteger) ?? usual;
  let rows = numbers("rows", ROWS), columns = numbers("columns", COLUMNS);
  let level = query.get("level") ?? "coarse", psi = Number(query.get("psi") ?? 1), seed = Number(query.get("seed") ?? 0), first = 0;
  const [offered, table, levels] = [h("ul", { class: "offered" }), h("div", { class: "scroll styles", tabindex: 0, role: "region", "aria-label": t("Mixed styles") }), h("div", {})];
  const ask = (/** @type {Record<string, any>} */ of) => post("/api/styled", { run: run.run, psi, seed, ...of });

  let busy = false, wanted = false;
  /** Draw the table, one request at a time, the newest last. */
  async function mixed() {
    wanted = true;
    if (busy) return;
    busy = true;
    while (wanted) {
      wanted = false;
      note({ rows: rows.join(","), columns: columns.join(","), level, psi, seed });
      if (!rows.length || !columns.length) {
        fill(table, h("p", { class: "hint" }, t("Choose one sample or more for the rows, and for the columns.")));
        continue;
      }
      try {
        const found = await ask({ rows, columns, level });
        if (!levels.childElementCount) fill(levels, segments(t("Styles that columns give"), found.levels.map((/** @type {string} */ each) => [each, t(LEVELS[each] ?? each)]), level, (value) => { level = value; mixed(); }));
        const image = (/** @type {any} */ each, /** @type {string} */ alt) => h("button", { type: "button", class: "bare", "aria-label": alt, onclick: () => enlarge(each.image, alt) }, h("img", { src: each.image, alt: "" }));
        fill(table, h("table", {},
          h("thead", {}, h("tr", {}, h("td", {}, h("span", { class: "hint" }, t("Styles of → onto ↓"))), columns.map((j, c) => h("th", { scope: "col" }, image(found.columns[c], t("Sample {n}", { n: j })), String(j))))),
          h("tbody", {}, rows.map((i, r) => h("tr", {}, h("th", { scope: "row" }, image(found.rows[r], t("Sample {n}", { n: i })), String(i)),
            columns.map((j, c) => h("td", {}, image(found.table[r * columns.length + c], t("Sample {a} with the styles of {b}", { a: i, b: j })))))))));
      } catch (error) {
        complain(error);
      }
    }
    busy = false;
  }

  /** Samples, each of which may stand in the rows or in the columns. */
  async function offer() {
    try {
      const these = Array.from({ length: OFFERED }, (_, i) => first + i);
      const found = await ask({ rows: these });
      fill(offered, these.map((n, i) => {
        const button = (/** @type {string} */ name, /** @type {number[]} */ list, /** @type {(of: number[]) => void} */ change) => h("button", { type: "button", class: "chip", "aria-pressed": String(list.includes(n)), "aria-label": `${t("Sample {n}", { n })}: ${name}`,
          disabled: !list.includes(n) && list.length >= MOST, onclick: () => { change(list.includes(n) ? list.filter((each) => each !== n) : [...list, n]); offer(); mixed(); } }, name);
        return h("li", {}, h("img", { src: found.rows[i].image, alt: t("Sample {n}", { n }) }), h("div", {}, button(t("Row"), rows, (of) => { rows = of; }), button(t("Column"), columns, (of) => { columns = of; })));
      }));
    } catch (error) {
      complain(error);
    }
  }
  const offerLater = paused(offer, 400);
  const control = slider("ψ", { min: 0, max: 1.5, step: 0.05, value: psi }, (value) => { psi = value; mixed(); offerLater(); });
  const every = command.sections.flatMap((section) => section.fields);
  append(main,
    h("section", { class: "card styles-card" },
      h("div", { class: "row tools" }, levels, h("button", { type: "button", onclick: () => { seed += 1; offer(); mixed(); } }, icon("dice"), t("Another seed")),
        h("button", { type: "button", onclick: () => { first += OFFERED; offer(); } }, t("More samples"))),
      h("div", { class: "truncation" }, h("h3", {}, t("Truncation")), control.element, h("p", { class: "hint" }, t("At 0 all is the mean style; at 1 each sample is as it was drawn."))),
      table, h("h3", {}, t("Samples to choose from")), offered),
    h("details", {}, h("summary", {}, t("As a file, with every setting")), panel(command, run, { first: every.map((field) => field.name) }).element));
  await Promise.all([offer(), mixed()]);
}
