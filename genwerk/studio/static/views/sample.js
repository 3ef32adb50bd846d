// @ts-check
// Samples: draw, draw more of the same seed, draw of another.

import { append, fill, h, icon } from "../dom.js";
import { t } from "../i18n.js";
import { here } from "../pages.js";
import { panel } from "./command.js";

/** @param {HTMLElement} main @param {import("../types.js").Run} run @param {import("../types.js").Command} command */
export function show(main, run, command) {
  const many = command.sections.flatMap((section) => section.fields).find((field) => field.name === "n");
  const more = h("div", { class: "row more" });
  const query = here().query;
  const values = { ...(query.has("seed") ? { seed: query.get("seed") } : {}), ...(query.has("first") ? { first: query.get("first") } : {}) };
  const { element, fields, start } = panel(command, run, {
    values,
    first: ["n", "label", "prompt", "covariates", "seed", "temperature", "truncation", "steps", "guidance", "sampler"], start: t("Sample"),
    over: (state) => more.toggleAttribute("hidden", state !== "done"),
  });
  const seed = () => Number(fields.value("seed")) || 0;
  fill(more,
    h("button", { type: "button", onclick: () => {
      const n = Number(fields.value("n")) || Number(many?.value) || 64;
      fields.set("first", String((Number(fields.value("first")) || 0) + n));
      start();
    } }, t("More of this seed")),
    h("button", { type: "button", onclick: () => {
      fields.set("seed", String(seed() + 1));
      fields.set("first", "0");
      start();
    } }, icon("dice"), t("Another seed")),
    h("button", { type: "button", onclick: () => start({ apart: true }) }, icon("download"), t("Each in a file of its own")));
  more.hidden = true;
  append(main, element, more);
}
