// @ts-check
// Texts: how one begins, and how a model would go on.

import { append, fill, h } from "../dom.js";
import { t } from "../i18n.js";
import { here, note } from "../pages.js";
import { panel } from "./command.js";

/** @param {HTMLElement} main @param {import("../types.js").Run} run @param {import("../types.js").Command} command */
export function show(main, run, command) {
  const begun = h("textarea", { id: "prompt", rows: 3, value: here().query.get("prompt") ?? "", oninput: () => note({ prompt: begun.value }) });
  const above = h("div", { class: "field wide" }, h("label", { for: "prompt" }, t("How the text begins")), begun, h("p", { class: "hint" }, t("Write {5} where five tokens are to be filled in.")));
  const texts = h("ol", { class: "texts" });
  /** @type {Record<string, any>} */
  const always = {};
  const view = panel(command, run, {
    hidden: ["prompt", "known", "input", "n"], first: ["k", "temperature", "top_k", "top_p", "seed"], above, always, start: t("Write"),
    begun: () => fill(texts),
    told: (told) => {
      if (told.type !== "table" || !told.columns.includes("completion")) return false;
      const [what, how] = [told.columns.indexOf("completion"), told.columns.indexOf("log-likelihood in nats")];
      const typed = begun.value;
      fill(texts, told.rows.map((/** @type {string[]} */ row) => {
        const text = row[what] ?? "";
        const known = typed && text.startsWith(typed) ? typed : "";
        return h("li", { class: "card" }, h("p", {}, known ? h("mark", {}, known) : null, text.slice(known.length)), row[how] ? h("p", { class: "hint" }, t("{n} nats", { n: row[how] ?? "" })) : null);
      }));
      return true;
    },
  });
  begun.addEventListener("input", () => { always.prompt = [begun.value]; });
  always.prompt = [begun.value];
  append(main, view.element, texts);
}
