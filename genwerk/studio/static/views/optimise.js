// @ts-check
// Optimisation of several objectives: what there is to choose from, the settings, and the front as it moves.

import { begin, get } from "../api.js";
import { append, fill, h } from "../dom.js";
import { t } from "../i18n.js";
import { complain, problem } from "../parts.js";
import { follow } from "../results.js";
import { panel } from "./command.js";

/** @param {HTMLElement} main */
export async function show(main) {
  const commands = /** @type {import("../types.js").Command[]} */ (await get("/api/commands"));
  const command = commands.find((each) => each.name === "optimise");
  if (!command) return fill(main, problem(t("There is no command {name}.", { name: "optimise" })));
  const listing = h("div", {});
  const list = async () => {
    try {
      fill(listing, follow(await begin("optimise", null, {})).element);
    } catch (error) {
      complain(error);
    }
  };
  const above = h("div", { class: "row" }, h("button", { type: "button", onclick: list }, t("Which problems and algorithms are there?")));
  append(main, h("h1", {}, t("Optimise")), h("p", { class: "lead" }, t(command.summary)), listing, panel(command, null, { above, start: t("Optimise") }).element);
}
