// @ts-check
// The map of codes: examples in the plane, each with its picture when it is pointed at, and the arithmetic of their means.

import { post } from "../api.js";
import { announce, append, fill, h } from "../dom.js";
import { listed, number, t } from "../i18n.js";
import { complain, segments, slider } from "../parts.js";

const SIDE = 420, EDGE = 14;
/** Hues of classes, in turn. */
const COLOURS = ["#4c5fd5", "#d9534f", "#2e9e6b", "#c9862b", "#8a56c2", "#2b9ab5", "#b5467f", "#7a8b2a", "#5b6270", "#c06a3d"];

/**
 * @param {import("../types.js").Run} run
 * @param {object} on
 * @param {(row: number, encoded: boolean) => void} on.go  where an example is chosen to begin with
 * @param {() => number[]} on.from  the point that a direction is added to
 * @param {(z: number[]) => void} on.moved
 */
export function map(run, on) {
  const box = h("section", {}, h("h3", {}, t("Map of codes")));
  const open = h("button", { type: "button", onclick: async () => {
    open.disabled = true;
    try {
      const found = await post("/api/codes", { run: run.run });
      open.remove();
      draw(found);
    } catch (error) {
      complain(error);
      open.disabled = false;
    }
  } }, t("Draw the map"));
  append(box, open);

  /** @param {any} found */
  function draw(found) {
    const canvas = h("canvas", { class: "codes", width: SIDE, height: SIDE, tabindex: 0, role: "img" });
    const hover = h("div", { class: "hover", hidden: true });
    const sheet = new Image();
    const n = found.x.length;
    const range = (/** @type {number[]} */ values) => [Math.min(...values), Math.max(...values)];
    const [[x0 = 0, x1 = 1], [y0 = 0, y1 = 1]] = [range(found.x), range(found.y)];
    const at = (/** @type {number} */ i) => [EDGE + ((found.x[i] - x0) / (x1 - x0 || 1)) * (SIDE - 2 * EDGE), SIDE - EDGE - ((found.y[i] - y0) / (y1 - y0 || 1)) * (SIDE - 2 * EDGE)];
    let now = -1, mode = "go";
    const chosen = { plus: new Set(/** @type {number[]} */ ([])), minus: new Set(/** @type {number[]} */ ([])) };

    function paint() {
      const pen = canvas.getContext("2d");
      if (!pen) return;
      const style = getComputedStyle(canvas);
      pen.clearRect(0, 0, SIDE, SIDE);
      for (let i = 0; i < n; i++) {
        const [x = 0, y = 0] = at(i);
        pen.globalAlpha = i === now ? 1 : 0.75;
        pen.fillStyle = found.labels.length ? (COLOURS[found.labels[i] % COLOURS.length] ?? "#555") : style.getPropertyValue("--accent");
        pen.beginPath();
        pen.arc(x, y, i === now ? 7 : 4, 0, 7);
        pen.fill();
        const sign = chosen.plus.has(i) ? "+" : chosen.minus.has(i) ? "−" : "";
        if (!sign && i !== now) continue;
        pen.globalAlpha = 1;
        pen.lineWidth = 2;
        pen.strokeStyle = style.getPropertyValue("--ink");
        pen.stroke();
        pen.fillStyle = style.getPropertyValue("--ink");
        pen.font = "bold 15px sans-serif";
        if (sign) pen.fillText(sign, x + 6, y - 5);
      }
    }
    const told = (/** @type {number} */ i) => {
      const name = found.names[i] ?? "", row = name.match(/^row (\d+)$/), of = found.classes[found.labels[i]];
      return listed([row ? t("row {n}", { n: Number(row[1]) }) : name, of ? t("class {name}", { name: of }) : ""]);
    };
    /** @param {number} i */
    function point(i) {
      now = i;
      paint();
      hover.hidden = i < 0;
      if (i < 0) return;
      const [x = 0, y = 0] = at(i);
      hover.style.left = `${(100 * x) / SIDE}%`;
      hover.style.top = `${(100 * y) / SIDE}%`;
      hover.classList.toggle("left", x > SIDE * 0.6);
      hover.classList.toggle("up", y > SIDE * 0.6);
      let picture = null;
      if (found.sheet) {
        picture = h("canvas", { width: found.side, height: found.side });
        picture.getContext("2d")?.drawImage(sheet, (i % found.across) * found.side, Math.floor(i / found.across) * found.side, found.side, found.side, 0, 0, found.side, found.side);
      }
      fill(hover, picture, h("span", {}, told(i)));
      canvas.setAttribute("aria-label", t("Map of {n} codes, at {what}; arrow keys go to the next one, Enter takes it", { n, what: told(i) }));
    }
    /** @param {(i: number) => number|null} cost  the least of which is wanted; null for what is none */
    const nearest = (cost) => {
      let [best, least] = [-1, Infinity];
      for (let i = 0; i < n; i++) {
        const value = cost(i);
        if (value !== null && value < least) [best, least] = [i, value];
      }
      return best;
    };
    const under = (/** @type {MouseEvent} */ event) => {
      const area = canvas.getBoundingClientRect();
      const [x, y] = [((event.clientX - area.left) / area.width) * SIDE, ((event.clientY - area.top) / area.height) * SIDE];
      return nearest((i) => { const [a = 0, b = 0] = at(i); const d = Math.hypot(a - x, b - y); return d < 22 ? d : null; });
    };
    /** @param {number} i */
    function take(i) {
      if (i < 0) return;
      if (mode === "go") return on.go(i, found.encoded);
      const [own, other] = mode === "plus" ? [chosen.plus, chosen.minus] : [chosen.minus, chosen.plus];
      other.delete(i);
      if (!own.delete(i)) own.add(i);
      if (own.size) (mode === "plus" ? plus : minus).value = "chosen";
      paint();
      count();
      changed();
    }
    canvas.addEventListener("pointermove", (event) => { const i = under(event); if (i !== now) point(i); });
    canvas.addEventListener("pointerleave", () => point(-1));
    canvas.addEventListener("click", (event) => take(under(event)));
    canvas.addEventListener("blur", () => point(-1));
    canvas.addEventListener("keydown", (event) => {
      const ways = /** @type {Record<string, [number, number]>} */ ({ ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] });
      const way = ways[event.key];
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); return take(now); }
      if (!way) return;
      event.preventDefault();
      const [x = SIDE / 2, y = SIDE / 2] = now < 0 ? [] : at(now);
      const next = now < 0 ? nearest((i) => { const [a = 0, b = 0] = at(i); return Math.hypot(a - x, b - y); })
        : nearest((i) => { const [a = 0, b = 0] = at(i); const along = (a - x) * way[0] + (b - y) * way[1]; const aside = Math.abs((a - x) * way[1]) + Math.abs((b - y) * way[0]); return i !== now && along > 0 && aside <= 2 * along ? along + 2 * aside : null; });
      if (next >= 0) { point(next); announce(told(next)); }
    });
    if (found.sheet) { sheet.src = found.sheet; }

    // --- arithmetic
    const options = (/** @type {string} */ none) => [h("option", { value: "" }, none), found.classes.map((/** @type {string} */ each) => h("option", { value: `label:${each}` }, t("mean of {name}", { name: each }))), h("option", { value: "chosen" }, t("mean of chosen examples"))].flat();
    const plus = h("select", { id: "code-plus", onchange: () => changed() }, options("–"));
    const minus = h("select", { id: "code-minus", onchange: () => changed() }, options(t("mean of all the others")));
    const said = h("p", { class: "hint", "aria-live": "polite" });
    const count = () => { said.textContent = t("{a} examples to add, {b} to take away", { a: chosen.plus.size, b: chosen.minus.size }); };
    const of = (/** @type {string} */ value, /** @type {Set<number>} */ rows) => value.startsWith("label:") ? { label: value.slice(6) } : value === "chosen" ? { rows: [...rows] } : {};
    /** @type {number[]|null} */
    let way = null;
    /** @type {number[]} */
    let start = [];
    const strength = slider(t("Strength"), { min: -3, max: 3, step: 0.05, value: 0 }, (value) => {
      const direction = way;
      if (direction) on.moved(start.map((z, d) => z + value * (direction[d] ?? 0)));
    });
    const field = h("fieldset", { class: "strength", disabled: true }, h("legend", { class: "unseen" }, t("Strength")), strength.element);
    async function changed() {
      way = null;
      field.disabled = true;
      if (!plus.value && !minus.value) return;
      if ([[plus, chosen.plus], [minus, chosen.minus]].some(([select, rows]) => /** @type {HTMLSelectElement} */ (select).value === "chosen" && !(/** @type {Set<number>} */ (rows).size))) return;
      try {
        const answer = await post("/api/direction", { run: run.run, plus: of(plus.value, chosen.plus), minus: of(minus.value, chosen.minus) });
        way = answer.z;
        start = [...on.from()];
        strength.set(0);
        field.disabled = false;
        said.textContent = t("The mean of {a} codes less that of {b}; the slider adds it to the point where you are.", { a: answer.of[0], b: answer.of[1] });
      } catch (error) {
        complain(error);
      }
    }
    append(box, h("div", { class: "codes-and-sums" },
      h("div", {}, segments(t("What choosing an example does"), [["go", t("Go there")], ["plus", t("Add")], ["minus", t("Take away")]], mode, (value) => { mode = value; }),
        h("div", { class: "codes-box" }, canvas, hover),
        found.classes.length ? h("ul", { class: "legend" }, found.classes.map((/** @type {string} */ name, /** @type {number} */ i) => h("li", {}, swatch(COLOURS[i % COLOURS.length] ?? ""), name))) : null,
        h("p", { class: "hint" }, found.encoded ? t("{n} held-out examples, in the plane of their first two principal components.", { n }) : t("{n} samples, in the plane of their first two principal components.", { n: number(n) }))),
      h("div", { class: "sums" }, h("h3", {}, t("Attribute arithmetic")),
        h("div", { class: "field" }, h("label", { for: "code-plus" }, t("Add")), plus), h("div", { class: "field" }, h("label", { for: "code-minus" }, t("Take away")), minus), field, said)));
    canvas.setAttribute("aria-label", t("Map of {n} codes; arrow keys go to the next one, Enter takes it", { n }));
    paint();
  }
  return { element: box, open: () => open.click() };
}

/** @param {string} colour */
function swatch(colour) {
  const found = h("span", { class: "swatch", "aria-hidden": "true" });
  found.style.background = colour;
  return found;
}
