// @ts-check
// Optimisation of several objectives: what there is to choose from, the settings, and the front as it moves.

import { begin, get } from "../api.js";
import { append, fill, h, s } from "../dom.js";
import { figure, number, t } from "../i18n.js";
import { complain, problem, slider } from "../parts.js";
import { follow } from "../results.js";
import { panel } from "./command.js";

const WIDTH = 420, HEIGHT = 320, LEFT = 52, RIGHT = 12, TOP = 12, BOTTOM = 34;
/** Fronts before the one that is shown, which are drawn fainter. */
const BEFORE = 4;

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
  const moving = front();
  const view = panel(command, null, { above, start: t("Optimise"), begun: moving.clear,
    progress: (told) => told.front && moving.add(told.front, told.done) });
  view.element.insertBefore(moving.element, view.out);
  append(main, h("h1", {}, t("Optimise")), h("p", { class: "lead" }, t(command.summary)), listing, view.element);
}

/** The front of an optimisation as it moves, with a slider back to what it was. */
function front() {
  /** @type {{points: number[][], done: number}[]} */
  let fronts = [];
  let shown = 0, following = true;
  const place = h("div", { class: "front" });
  const said = h("p", { class: "hint", "aria-live": "off" });
  const control = h("div", {});
  const element = h("section", { class: "card", hidden: true }, h("h2", {}, t("The front")), place, said, control);
  const draw = () => {
    const now = fronts[shown];
    if (!now) return;
    const every = fronts.flatMap(({ points }) => points);
    const last = fronts.at(-1)?.points ?? [];
    const range = (/** @type {number} */ d) => {
      const values = [...last, ...now.points].map((row) => row[d] ?? 0);
      const all = every.map((row) => row[d] ?? 0);
      const [low, high] = [Math.min(...all), Math.max(...values)];
      return [low, high > low ? high + 0.05 * (high - low) : low + 1];
    };
    const [[x0, x1], [y0, y1]] = /** @type {[number[], number[]]} */ ([range(0), range(1)]);
    const x = (/** @type {number} */ value) => LEFT + ((value - (x0 ?? 0)) / ((x1 ?? 1) - (x0 ?? 0))) * (WIDTH - LEFT - RIGHT);
    const y = (/** @type {number} */ value) => HEIGHT - BOTTOM - ((value - (y0 ?? 0)) / ((y1 ?? 1) - (y0 ?? 0))) * (HEIGHT - TOP - BOTTOM);
    const dots = (/** @type {number[][]} */ points, /** @type {string} */ name, /** @type {number} */ r) =>
      points.filter((row) => (row[0] ?? 0) <= (x1 ?? 1) && (row[1] ?? 0) <= (y1 ?? 1)).map((row) => s("circle", { class: name, cx: x(row[0] ?? 0).toFixed(1), cy: y(row[1] ?? 0).toFixed(1), r }));
    const label = t("{n} solutions that no other dominates, after {done} evaluations", { n: now.points.length, done: now.done });
    fill(place, s("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label },
      s("line", { class: "rule", x1: LEFT, x2: WIDTH - RIGHT, y1: HEIGHT - BOTTOM, y2: HEIGHT - BOTTOM }),
      s("line", { class: "rule", x1: LEFT, x2: LEFT, y1: TOP, y2: HEIGHT - BOTTOM }),
      s("text", { class: "tick", x: LEFT, y: HEIGHT - 16 }, figure(x0 ?? 0)), s("text", { class: "tick end", x: WIDTH - RIGHT, y: HEIGHT - 16 }, figure(x1 ?? 1)),
      s("text", { class: "tick end", x: LEFT - 5, y: HEIGHT - BOTTOM }, figure(y0 ?? 0)), s("text", { class: "tick end", x: LEFT - 5, y: TOP + 9 }, figure(y1 ?? 1)),
      s("text", { class: "tick", x: WIDTH / 2, y: HEIGHT - 4 }, "f0"), s("text", { class: "tick", x: 6, y: HEIGHT / 2 }, "f1"),
      fronts.slice(Math.max(0, shown - BEFORE), shown).flatMap(({ points }) => dots(points, "before", 2)), dots(now.points, "now", 3)));
    said.textContent = label + ((now.points[0]?.length ?? 2) > 2 ? ` · ${t("the first two of {n} objectives", { n: now.points[0]?.length ?? 2 })}` : "");
  };
  /** @type {ReturnType<typeof slider>|null} */
  let back = null;
  return { element,
    clear: () => { fronts = []; shown = 0; following = true; element.hidden = true; fill(control); back = null; },
    /** @param {number[][]} points @param {number} done */
    add: (points, done) => {
      if (JSON.stringify(fronts.at(-1)?.points) === JSON.stringify(points)) return;
      fronts.push({ points, done });
      element.hidden = false;
      if (following) shown = fronts.length - 1;
      if (fronts.length > 1) {
        back = slider(t("Moment"), { min: 0, max: fronts.length - 1, step: 1, value: shown, text: (value) => number(fronts[value]?.done ?? 0) }, (value) => {
          shown = value;
          following = value === fronts.length - 1;
          draw();
        });
        if (!control.contains(document.activeElement)) fill(control, back.element);
      }
      draw();
    } };
}
