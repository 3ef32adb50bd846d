// @ts-check
// Every command that needs no run, by its group.

import { get } from "../api.js";
import { append, fill, h } from "../dom.js";
import { spelt, t } from "../i18n.js";
import { link } from "../pages.js";

/** Commands that have a page of their own. */
const ELSEWHERE = ["train", "compare", "optimise"];

/** @param {HTMLElement} main */
export async function show(main) {
  const commands = /** @type {import("../types.js").Command[]} */ (await get("/api/commands"));
  fill(main, h("h1", {}, t("Tools")), h("p", { class: "lead" }, t("Everything else that Genwerk can do. What needs a trained model is on the page of a run.")));
  const free = commands.filter((each) => !each.opens && !ELSEWHERE.includes(each.name));
  for (const group of new Set(free.map((each) => each.group)))
    append(main, h("section", {}, h("h2", {}, t(group)), h("ul", { class: "cards" }, free.filter((each) => each.group === group).map((each) =>
      h("li", {}, h("a", { class: "card link", href: link(["do", each.name]) }, h("b", {}, spelt(each.name)), h("span", {}, t(each.summary))))))));
}
