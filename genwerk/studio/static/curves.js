// @ts-check
// The figures of a training as curves, drawn as its events come.

import { fill, h, s } from "./dom.js";
import { figure, listed, number, span, staged, t } from "./i18n.js";

const WIDTH = 340, HEIGHT = 180, LEFT = 54, RIGHT = 8, TOP = 8, BOTTOM = 20;
/** Points of a curve that are drawn; where there are more, neighbours are averaged. */
const MOST = 240;
/** Share of the values, at either end, that may be left out of the range where they would flatten the rest. */
const OUTLYING = 0.02;
/** Lines of the log that hold figures, and where these come from. */
const KINDS = /** @type {Record<string, string>} */ ({ round: "training", evaluated: "validation", watched: "watched" });
const ACRONYMS = /\b(nll|elbo|kl|fid|kid|mmd)\b/g;
const OTHER = new Set(["event", "stage", "round", "examples", "seconds", "best"]);

/** @typedef {[number, number]} Point */
/** @typedef {{stage: string, name: string, curves: Record<string, Point[]>}} Panel */

/** What is known of a training by its events so far. */
export class Training {
  constructor() {
    /** @type {Map<string, Panel>} */
    this.panels = new Map();
    /** @type {string[]} */
    this.stages = [];
    this.rounds = 0;
    this.round = 0;
    this.seconds = 0;
    this.stage = "";
    this.ended = "";
    /** @type {[number, number][]} */
    this.clock = [];
    /** @type {string[]} */
    this.said = [];
  }

  /** @param {any} event */
  take(event) {
    if (event.event === "plan") this.rounds = event.rounds ?? this.rounds;
    if (typeof event.round === "number") this.round = event.round;
    if (typeof event.seconds === "number") this.seconds = event.seconds;
    if (event.stage) this.stage = event.stage;
    this.ended = event.event === "stopped" ? "stopped" : event.event === "stage done" && event.last ? "finished" : "";
    if (event.event === "collapsed" && event.reason) this.said.push(event.reason);
    if (event.event === "round") {
      this.clock.push([event.round, event.seconds]);
      if (this.clock.length > 400) this.clock.shift();
    }
    const source = KINDS[event.event];
    if (!source) return;
    if (!this.stages.includes(event.stage)) this.stages.push(event.stage);
    for (const [key, value] of Object.entries(event)) {
      if (OTHER.has(key) || typeof value !== "number" || !Number.isFinite(value)) continue;
      const place = `${event.stage}|${key}`;
      let panel = this.panels.get(place);
      if (!panel) this.panels.set(place, (panel = { stage: event.stage, name: key.replaceAll("_", " ").replace(ACRONYMS, (word) => word.toUpperCase()), curves: {} }));
      (panel.curves[source] ??= []).push([event.round, value]);
    }
  }

  /** Seconds that are left at the pace of the last rounds; null where nothing tells. */
  left() {
    const [first, last] = [this.clock[0], this.clock.at(-1)];
    if (!first || !last || last[0] <= first[0] || !this.rounds) return null;
    return ((last[1] - first[1]) / (last[0] - first[0])) * Math.max(0, this.rounds - last[0]);
  }

  /** Panels as they stand: held-out figures first, then losses, then norms of gradients. */
  sorted() {
    const rank = (/** @type {Panel} */ panel) =>
      this.stages.indexOf(panel.stage) * 4 + Number(panel.name.includes("gradient norm")) * 2 + Number(panel.name.startsWith("clipped")) * 1.5 + Number(!("validation" in panel.curves));
    return [...this.panels.values()].sort((a, b) => rank(a) - rank(b));
  }
}

/** @param {Point[]} curve @returns {Point[]} */
function thinned(curve) {
  const size = Math.ceil(curve.length / MOST);
  if (size <= 1) return curve;
  /** @type {Point[]} */
  const found = [];
  for (let i = 0; i < curve.length; i += size) {
    const part = curve.slice(i, i + size);
    found.push([part.reduce((sum, [x]) => sum + x, 0) / part.length, part.reduce((sum, [, y]) => sum + y, 0) / part.length]);
  }
  return found;
}

/** The ranges of a panel, its ticks, and where a point stands.
 * @param {Panel} panel */
export function axes(panel) {
  const points = Object.values(panel.curves).flat();
  const xs = points.map(([x]) => x);
  const [first, last] = [xs.reduce((a, b) => Math.min(a, b)), xs.reduce((a, b) => Math.max(a, b))];
  const values = points.map(([, y]) => y).sort((a, b) => a - b);
  const at = (/** @type {number} */ i) => values[i] ?? 0;
  const out = Math.floor(values.length * OUTLYING);
  let [low, high] = [at(0), at(values.length - 1)];
  const inner = at(values.length - 1 - out) - at(out);
  if (high - low > 3 * inner && inner > 0) [low, high] = [at(out) - inner / 4, at(values.length - 1 - out) + inner / 4];
  const size = Math.max(Math.abs(low), Math.abs(high)) || 1;
  const room = high > low ? Math.max(0.05 * (high - low), 1e-4 * size) : size / 10; // of less than that ticks would not differ
  [low, high] = [low - room, high + room];
  const part = (high - low) / 4.5; // for three to five ticks
  const power = 10 ** Math.floor(Math.log10(part));
  const step = power * (/** @type {number} */ ([1, 2, 5].find((times) => times * power >= part) ?? 10));
  const ticks = [];
  for (let i = Math.ceil(low / step); i * step <= high; i++) ticks.push(i * step || 0);
  return { first, last, low, high, ticks, step,
    x: (/** @type {number} */ x) => LEFT + (last > first ? (x - first) / (last - first) : 0.5) * (WIDTH - LEFT - RIGHT),
    y: (/** @type {number} */ y) => HEIGHT - BOTTOM - ((Math.min(Math.max(y, low), high) - low) / (high - low)) * (HEIGHT - TOP - BOTTOM) };
}

/** A tick with as many digits as tell it from the next one.
 * @param {number} value @param {number} step */
export function tick(value, step) {
  const size = Math.abs(value);
  const differing = size === 0 ? 0 : Math.max(0, Math.floor(Math.log10(size) + 1e-9) - Math.floor(Math.log10(step) + 1e-9));
  if (size >= 1e5) return number(value, { notation: "compact", maximumSignificantDigits: differing + 1 });
  if (size < 1e-3 && step < 1e-4) return size === 0 ? "0" : value.toExponential(differing);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  return number(value, { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** What a figure is called: a dictionary has it in small letters, or the player whose loss it is.
 * @param {string} name */
function titled(name) {
  const small = name.toLowerCase(), told = t(small);
  if (told !== small) return told;
  const player = small.match(/^(.*) loss$/)?.[1] ?? small, called = t(player);
  return called === player ? name : t("{player} loss", { player: called });
}

/** @param {Panel} panel @param {boolean} several whether there are other stages */
function drawn(panel, several) {
  const at = axes(panel);
  const curves = Object.entries(panel.curves);
  const title = several ? t("{stage}: {what}", { stage: staged(panel.stage), what: titled(panel.name) }) : titled(panel.name);
  const told = curves.map(([source, curve]) => t("{source} from {first} to {last}", { source: t(source), first: figure(curve[0]?.[1] ?? 0), last: figure(curve.at(-1)?.[1] ?? 0) }));
  const svg = s("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `${title}: ${listed(told)}` },
    at.ticks.map((value) => [s("line", { class: "rule", x1: LEFT, x2: WIDTH - RIGHT, y1: at.y(value), y2: at.y(value) }),
      s("text", { class: "tick end", x: LEFT - 6, y: at.y(value) + 4 }, tick(value, at.step))]).flat(),
    s("text", { class: "tick", x: LEFT, y: HEIGHT - 4 }, number(at.first)),
    at.last > at.first ? s("text", { class: "tick end", x: WIDTH - RIGHT, y: HEIGHT - 4 }, number(at.last)) : null,
    curves.map(([source, curve]) => curve.length === 1
      ? s("circle", { class: source, cx: at.x(curve[0]?.[0] ?? 0), cy: at.y(curve[0]?.[1] ?? 0), r: 3 })
      : s("polyline", { class: source, points: thinned(curve).map(([x, y]) => `${at.x(x).toFixed(1)},${at.y(y).toFixed(1)}`).join(" ") })));
  return h("figure", { class: "panel" }, h("figcaption", {}, h("b", {}, title),
    curves.map(([source, curve]) => h("span", { class: `source ${source}` }, h("span", { class: "of" }, t(source)), " ", figure(curve.at(-1)?.[1] ?? 0)))), svg);
}

/**
 * Curves and where the training stands, drawn anew at most four times a second.
 * @param {Training} training
 */
export function board(training) {
  const bar = h("progress", { max: 1, value: 0, "aria-label": t("Progress") });
  const stands = h("p", { class: "stands" });
  const said = h("div", {});
  const panels = h("div", { class: "panels" });
  const folded = h("div", { class: "panels" });
  const more = h("details", { class: "more-curves" }, h("summary", {}, t("More curves")), folded);
  let due = false;
  const draw = () => {
    due = false;
    const every = training.sorted().filter((panel) => Object.keys(panel.curves).length);
    const several = training.stages.length > 1;
    fill(panels, every.slice(0, 6).map((panel) => drawn(panel, several)));
    more.hidden = every.length <= 6;
    fill(folded, every.slice(6).map((panel) => drawn(panel, several)));
    bar.max = training.rounds || 1;
    bar.value = training.ended === "finished" ? bar.max : training.round;
    const left = training.left();
    const short = training.ended === "finished" && training.round < training.rounds;
    const parts = [short ? t("Ended at round {round} of at most {rounds}: it improved no further", { round: training.round, rounds: training.rounds }) : t("Round {round} of {rounds}", { round: training.round, rounds: training.rounds })];
    if (several) parts.push(t("stage {stage}", { stage: staged(training.stage) }));
    parts.push(t("{time} so far", { time: span(training.seconds) }));
    if (left !== null && !training.ended) parts.push(t("about {time} left", { time: span(left) }));
    stands.textContent = parts.join(" · ");
    fill(said, training.said.map((line) => h("p", { class: "note" }, line)));
  };
  return { element: h("div", { class: "board" }, bar, stands, said, panels, more),
    update: () => { if (!due) { due = true; setTimeout(draw, 250); } } };
}
