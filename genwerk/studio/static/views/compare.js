// @ts-check
// Runs side by side, or recipes that are trained alike.

import { get } from "../api.js";
import { append, fill, h } from "../dom.js";
import { t } from "../i18n.js";
import { here, note } from "../pages.js";
import { problem, segments } from "../parts.js";
import { panel } from "./command.js";

const TRAINED = ["runs", "reach", "common"], NEW = ["data.source", "recipes", "minutes", "examples", "seeds", "threads", "jobs"];

/** @param {HTMLElement} main */
export async function show(main) {
  const commands = /** @type {import("../types.js").Command[]} */ (await get("/api/commands"));
  const found = commands.find((each) => each.name === "compare");
  if (!found) return fill(main, problem(t("There is no command {name}.", { name: "compare" })));
  const place = h("div", {});
  const draw = (/** @type {string} */ what) => {
    note({ what });
    const recipes = what === "recipes";
    const sections = found.sections.map((section) => ({ ...section, fields: section.fields.map((each) => (each.name === "runs" ? { ...each, run: true } : each)) }))
      .filter((section) => recipes || section.title !== "data");
    const ordered = recipes ? [...sections].sort((a, b) => Number(b.title === "data") - Number(a.title === "data")) : sections;
    fill(place, panel({ ...found, sections: ordered }, null, { hidden: recipes ? TRAINED : NEW, first: recipes ? NEW : TRAINED, start: t("Compare") }).element);
  };
  const what = here().query.get("what") === "recipes" ? "recipes" : "runs";
  append(main, h("h1", {}, t("Compare")), h("p", { class: "lead" }, t("Figures with their spreads, costs and pictures, of runs that there are or of recipes that are trained alike.")),
    segments(t("What is compared"), [["runs", t("Runs")], ["recipes", t("Recipes on my data")]], what, (value) => { note({ job: null }); draw(value); }), place);
  draw(what);
}
