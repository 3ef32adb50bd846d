// @ts-check
// All runs below the root, with what they last made.

import { get, post, remove, where } from "../api.js";
import { fill, h, icon } from "../dom.js";
import { moment, t } from "../i18n.js";
import { here, link, note } from "../pages.js";
import { badge, complain, empty, toast } from "../parts.js";

/** @param {HTMLElement} main */
export async function show(main) {
  let runs = /** @type {import("../types.js").RunEntry[]} */ (await get("/api/runs"));
  const list = h("ul", { class: "gallery" });
  const search = h("input", { type: "search", id: "search", value: here().query.get("search") ?? "", placeholder: t("Name, recipe or data"), oninput: () => { note({ search: search.value }); draw(); } });
  const draw = () => {
    const wanted = search.value.trim().toLowerCase();
    const found = runs.filter((each) => [each.run, each.recipe, each.data].join(" ").toLowerCase().includes(wanted));
    fill(list, found.map((each) => card(each, drop)));
    if (!found.length && runs.length) fill(list, h("li", { class: "empty" }, t("No run is called so.")));
  };
  const again = async () => { runs = await get("/api/runs"); await show(main); };
  const drop = async (/** @type {string} */ run) => {
    try {
      const { undo } = await remove("/api/run", { run });
      toast(t("{run} is in the bin.", { run }), { name: t("Undo"), act: () => post("/api/undo", { undo }).then(again, complain) });
      await again();
    } catch (error) {
      complain(error);
    }
  };
  fill(main, h("div", { class: "row between" }, h("h1", {}, t("Runs")), h("a", { class: "button main", href: link(["train"]) }, icon("train"), t("Train a model"))),
    runs.length ? h("div", { class: "search" }, h("label", { for: "search", class: "unseen" }, t("Search")), search) : null,
    runs.length ? list : empty(t("There is no run in this folder yet. Train a model on built-in data, or on your own images, sounds, texts or tables.")));
  draw();
}

/** @param {import("../types.js").RunEntry} each @param {(run: string) => void} drop */
function card({ run, recipe, data, state, stands, picture, changed, kind }, drop) {
  const to = link(["run", run]);
  return h("li", { class: "card run-card" },
    h("a", { class: "cover", href: to, tabindex: -1, "aria-hidden": "true" }, picture ? h("img", { src: where(picture), alt: "", loading: "lazy" }) : h("span", { class: "kind" }, t(kind || "run"))),
    h("div", { class: "about" }, h("div", { class: "row between nowrap" }, h("a", { class: "name", href: to }, run),
      h("button", { type: "button", class: "quiet round", "aria-label": t("Move {run} to the bin", { run }), title: t("Move to the bin"), onclick: () => drop(run) }, icon("trash"))),
    h("p", { class: "hint" }, recipe, " · ", data ?? "–"),
    h("div", { class: "row between" }, badge(state), h("span", { class: "hint", title: stands }, moment(changed)))));
}
