// @ts-check
// Images made of others: hand some in, and compare before and after.

import { upload, where } from "../api.js";
import { append, fill, h } from "../dom.js";
import { t } from "../i18n.js";
import { dropzone } from "../parts.js";
import { panel } from "./command.js";

/** @param {HTMLElement} main @param {import("../types.js").Run} run @param {import("../types.js").Command} command */
export function show(main, run, command) {
  /** @type {Record<string, string>} */
  const ids = {};
  /** @type {Map<string, string>} */
  const before = new Map();
  const pairs = h("div", { class: "pairs" });
  /** What is on its way; who starts before it is there waits for it. */
  let coming = Promise.resolve(/** @type {import("../types.js").Upload|null} */ (null));
  const zone = dropzone({ label: t("Choose images"), accept: "image/*,.zip", several: true }, async (files) => {
    const found = await (coming = upload(files));
    ids.images = found.upload;
    before.clear();
    for (const file of files) if (file.type.startsWith("image/")) before.set(stem(file.name), URL.createObjectURL(file));
  });
  const view = panel(command, run, {
    hidden: ["images"], first: ["to", "tile", "seed"], start: t("Translate"), uploads: async () => { await coming; return ids; },
    above: h("div", { class: "field wide" }, zone, h("p", { class: "hint" }, t("Without any, held-out examples are translated."))),
    begun: () => fill(pairs),
    told: (told) => {
      const source = told.type === "file" && told.kind === "image" && [...before.keys()].find((each) => stem(told.name).startsWith(each));
      if (!source) return false;
      append(pairs, wiped(before.get(source) ?? "", where(told.url), told.name));
      return false;
    },
  });
  view.element.insertBefore(pairs, view.out);
  append(main, view.element);
}

/** The name of a file without its folders and its end, as the server stores it.
 * @param {string} name */
const stem = (name) => (name.split("/").at(-1) ?? name).replace(/\.\w+$/, "").replace(/[^\w.+-]+/g, "_");

/** Two pictures in one place, and where the one gives way to the other.
 * @param {string} first @param {string} second @param {string} name */
function wiped(first, second, name) {
  const top = h("img", { src: first, alt: t("Before") });
  const range = h("input", { type: "range", min: 0, max: 100, "aria-label": t("Before and after: {name}", { name }), oninput: () => move() });
  const move = () => { top.style.clipPath = `inset(0 ${100 - range.valueAsNumber}% 0 0)`; };
  range.value = "50";
  move();
  return h("figure", { class: "wipe" }, h("div", { class: "both" }, h("img", { src: second, alt: t("After") }), top), range,
    h("figcaption", { class: "row between hint" }, h("span", {}, t("Before")), h("span", {}, name), h("span", {}, t("After"))));
}
