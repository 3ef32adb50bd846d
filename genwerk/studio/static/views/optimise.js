// @ts-check
// Optimisation of several objectives: what there is to choose from, the settings, and the front as it moves.

import { get } from "../api.js";
import { append, fill, h, s } from "../dom.js";
import { figure, number, t } from "../i18n.js";
import { problem, slider } from "../parts.js";
import { panel } from "./command.js";

const WIDTH = 420, HEIGHT = 320, LEFT = 52, RIGHT = 12, TOP = 12, BOTTOM = 34;
/** Fronts before the one that is shown, which are drawn fainter. */
const BEFORE = 4;

/** What an optimisation begins with where nothing else is chosen. */
const FIRST = "zdt1";

/** @param {HTMLElement} main */
export async function show(main) {
  const [commands, listed] = await Promise.all([get("/api/commands"), get("/api/optimising")]);
  const command = /** @type {import("../types.js").Command[]} */ (commands).find((each) => each.name === "optimise");
  if (!command) return fill(main, problem(t("There is no command {name}.", { name: "optimise" })));
  /** @type {Record<string, Record<string, string>>} */
  const lists = { problem: listed.problems, algorithm: listed.algorithms };
  const sections = command.sections.map((section) => ({ ...section, fields: section.fields.map((field) => {
    const told = lists[field.name];
    return told ? /** @type {import("../types.js").Field} */ ({ ...field, type: "choice", choices: Object.keys(told), told, help: "", optional: field.name === "problem" }) : field;
  }) }));
  const moving = fronts();
  const number_ = (/** @type {string} */ name) => view.fields.value(name) || null;
  const known = () => {
    get("/api/front", { problem: view.fields.value("problem"), variables: number_("variables"), objectives: number_("objectives") })
      .then((found) => moving.known(found.fronts), () => moving.known([]));
  };
  const view = panel({ ...command, sections }, null, { start: t("Optimise"), values: { problem: FIRST }, begun: () => { moving.clear(); known(); },
    progress: (told) => told.fronts && moving.add(told.fronts, told.done) });
  view.element.insertBefore(moving.element, view.out);
  append(main, h("h1", {}, t("Optimise")), h("p", { class: "lead" }, t("Optimise a problem of several objectives, a generative model proposing solutions.")), view.element);
}

/** The front of each task of an optimisation. */
function fronts() {
  const element = h("div", { class: "fronts" });
  /** @type {ReturnType<typeof front>[]} */
  let parts = [];
  const of = (/** @type {number} */ n) => {
    if (parts.length !== n) {
      parts = Array.from({ length: n }, (_, i) => front(n > 1 ? t("The front of task {n}", { n: i + 1 }) : t("The front")));
      fill(element, parts.map((each) => each.element));
    }
    return parts;
  };
  return { element, clear: () => { of(0); },
    /** @param {(number[][]|null)[]} every */
    known: (every) => of(Math.max(1, every.length, parts.length)).forEach((each, i) => each.known(every[i] ?? null)),
    /** @param {number[][][]} every @param {number} done */
    add: (every, done) => of(every.length).forEach((each, i) => each.add(every[i] ?? [], done)) };
}

/** The front of a task as it moves, with a slider back to what it was.
 * @param {string} title */
function front(title) {
  /** @type {{points: number[][], done: number}[]} */
  let moments = [];
  let shown = 0, following = true;
  /** Points of the Pareto front. @type {number[][]} */
  let truth = [];
  const place = h("div", { class: "front" });
  const said = h("p", { class: "hint", "aria-live": "off" });
  const control = h("div", {});
  const legend = h("ul", { class: "legend", hidden: true }, [["now", t("found")], ["truth", t("the true front")]].map(([name, title]) =>
    h("li", {}, h("span", { class: `swatch ${name}` }), title)));
  const element = h("section", { class: "card", hidden: true }, h("h2", {}, title), place, legend, said, control);
  const draw = () => {
    const now = moments[shown];
    if (!now) return;
    const every = moments.flatMap(({ points }) => points);
    const last = moments.at(-1)?.points ?? [];
    const range = (/** @type {number} */ d) => {
      const values = [...last, ...now.points, ...truth].map((row) => row[d] ?? 0);
      const all = [...every, ...truth].map((row) => row[d] ?? 0);
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
      dots(truth, "truth", 1.6), moments.slice(Math.max(0, shown - BEFORE), shown).flatMap(({ points }) => dots(points, "before", 2)), dots(now.points, "now", 3)));
    legend.hidden = !truth.length;
    said.textContent = label + ((now.points[0]?.length ?? 2) > 2 ? ` · ${t("the first two of {n} objectives", { n: now.points[0]?.length ?? 2 })}` : "");
  };
  /** @type {ReturnType<typeof slider>|null} */
  let back = null;
  return { element,
    /** @param {number[][]|null} points */
    known: (points) => { truth = points ?? []; draw(); },
    /** @param {number[][]} points @param {number} done */
    add: (points, done) => {
      if (JSON.stringify(moments.at(-1)?.points) === JSON.stringify(points)) return;
      moments.push({ points, done });
      element.hidden = false;
      if (following) shown = moments.length - 1;
      if (moments.length > 1) {
        back = slider(t("Moment"), { min: 0, max: moments.length - 1, step: 1, value: shown, text: (value) => number(moments[value]?.done ?? 0) }, (value) => {
          shown = value;
          following = value === moments.length - 1;
          draw();
        });
        if (!control.contains(document.activeElement)) fill(control, back.element);
      }
      draw();
    } };
}
