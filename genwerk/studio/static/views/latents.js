// @ts-check
// A walk in the latent space: two dimensions as a plane, the others as sliders, and the way between two points.

import { post, Refused, upload } from "../api.js";
import { append, fill, h, icon, paused } from "../dom.js";
import { t } from "../i18n.js";
import { here, note, whenLeft } from "../pages.js";
import { complain, dropzone, slider } from "../parts.js";
import { map } from "./codes.js";
import { player } from "../sounds.js";

/** Sliders that are shown at once; pictures along a side of the plane; steps between two points, and frames of their animation. */
const FEW = 8, SIDE = 7, STEPS = 9, FRAMES = 24;
/** A picture that takes longer than so many milliseconds is too dear for a plane full of them. */
const QUICK = 150;

/** @param {HTMLElement} main @param {import("../types.js").Run} run */
export async function show(main, run) {
  const known = await post("/api/axes", { run: run.run }).catch((error) => { if (error instanceof Refused && error.status !== 404) throw error; return null; });
  const dims = /** @type {number[]} */ (known?.dims ?? Array.from({ length: Math.min(run.latent, 24) }, (_, i) => i));
  const low = (/** @type {number} */ d) => known?.low[dims.indexOf(d)] ?? -3;
  const high = (/** @type {number} */ d) => known?.high[dims.indexOf(d)] ?? 3;
  const query = here().query;
  const images = run.spec.kind === "image";
  /** @type {number[]} */
  let z = [];
  let [across, up] = [Number(query.get("x") ?? dims[0] ?? 0), Number(query.get("y") ?? dims[1] ?? dims[0] ?? 0)];
  let label = query.get("label") ?? "";
  let slow = 0;

  const ask = (/** @type {Record<string, any>} */ of) => post("/api/latent", { run: run.run, ...(label ? { label } : {}), ...of });
  const shown = h("div", { class: "decoded", "aria-live": "off" });
  const plane = h("canvas", { class: "plane", width: 420, height: 420, tabindex: 0, role: "img", "aria-label": t("Latents") });
  const dot = h("span", { class: "dot", "aria-hidden": "true" });
  const strip = h("div", { class: "between" });
  const sliders = h("div", { class: "sliders" });

  // --- what is at the point: one request at a time, the newest last
  let busy = false, wanted = false;
  async function decode() {
    wanted = true;
    if (busy) return;
    busy = true;
    while (wanted) {
      wanted = false;
      const begun = performance.now();
      try {
        const found = await ask({ z: [z] });
        one(found);
      } catch (error) {
        complain(error);
      }
      slow = performance.now() - begun;
    }
    busy = false;
  }
  /** @param {any} found */
  function one(found) {
    const [first] = pieces(found);
    if (!first) return;
    const image = /** @type {HTMLImageElement|null} */ (shown.querySelector("img"));
    if (image && typeof first === "object" && "image" in first) image.src = first.image;
    else fill(shown, piece(first, t("What is decoded from this point")));
  }

  // --- the plane
  const place = () => {
    const [x, y] = [(at(across) - low(across)) / (high(across) - low(across)), (at(up) - low(up)) / (high(up) - low(up))];
    dot.style.left = `${100 * Math.min(1, Math.max(0, x))}%`;
    dot.style.top = `${100 * (1 - Math.min(1, Math.max(0, y)))}%`;
    plane.setAttribute("aria-label", t("Plane of the dimensions {a} and {b}, at {x} and {y}; arrow keys move the point", { a: `z${across}`, b: `z${up}`, x: at(across).toFixed(2), y: at(up).toFixed(2) }));
  };
  const at = (/** @type {number} */ d) => z[d] ?? 0;
  /** @param {number} x @param {number} y */
  function move(x, y) {
    z[across] = low(across) + Math.min(1, Math.max(0, x)) * (high(across) - low(across));
    z[up] = low(up) + Math.min(1, Math.max(0, 1 - y)) * (high(up) - low(up));
    place();
    moved();
  }
  const moved = () => {
    for (const [d, each] of controls) each.set(at(d));
    decode();
  };
  const drag = (/** @type {PointerEvent} */ event) => {
    const box = plane.getBoundingClientRect();
    move((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
  };
  plane.addEventListener("pointerdown", (event) => { plane.setPointerCapture(event.pointerId); drag(event); });
  plane.addEventListener("pointermove", (event) => { if (plane.hasPointerCapture(event.pointerId)) drag(event); });
  plane.addEventListener("keydown", (event) => {
    const step = event.shiftKey ? 0.2 : 0.05;
    const ways = /** @type {Record<string, [number, number]>} */ ({ ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] });
    const way = ways[event.key];
    if (!way) return;
    event.preventDefault();
    move((at(across) - low(across)) / (high(across) - low(across)) + way[0], 1 - (at(up) - low(up)) / (high(up) - low(up)) + way[1]);
  });
  /** Pictures of points all over the plane, behind the point. */
  const paint = paused(async () => {
    const pen = plane.getContext("2d");
    if (!pen || slow > QUICK || !images) return;
    const rows = [];
    for (let j = 0; j < SIDE; j++) for (let i = 0; i < SIDE; i++) {
      const each = [...z];
      each[across] = low(across) + ((i + 0.5) / SIDE) * (high(across) - low(across));
      each[up] = high(up) - ((j + 0.5) / SIDE) * (high(up) - low(up));
      rows.push(each);
    }
    try {
      const found = pieces(await ask({ z: rows }));
      const images = await Promise.all(found.map((each) => loaded(each.image)));
      pen.imageSmoothingEnabled = false;
      const size = plane.width / SIDE;
      images.forEach((image, i) => image && pen.drawImage(image, (i % SIDE) * size, Math.floor(i / SIDE) * size, size, size));
    } catch (error) {
      complain(error);
    }
  }, 200);

  // --- sliders for the others
  /** @type {Map<number, ReturnType<typeof slider>>} */
  const controls = new Map();
  const draw = () => {
    controls.clear();
    for (const d of dims) controls.set(d, slider(`z${d}`, { min: low(d), max: high(d), step: (high(d) - low(d)) / 200, value: at(d) }, (value) => { z[d] = value; place(); decode(); if (d !== across && d !== up) paint(); }));
    const rows = [...controls.values()].map((each) => each.element);
    fill(sliders, rows.slice(0, FEW), rows.length > FEW ? h("details", {}, h("summary", {}, t("More dimensions ({n})", { n: rows.length - FEW })), rows.slice(FEW)) : null,
      run.latent > dims.length ? h("p", { class: "hint" }, t("The {n} dimensions that vary most, of {all}.", { n: dims.length, all: run.latent })) : null);
  };
  const axis = (/** @type {string} */ name, /** @type {number} */ value, /** @type {(d: number) => void} */ change) => {
    const select = h("select", { "aria-label": name, onchange: () => { change(Number(select.value)); note({ x: across, y: up }); place(); paint(); } }, dims.map((d) => h("option", { value: d, selected: d === value }, `z${d}`)));
    return h("label", { class: "axis" }, name, select);
  };

  // --- points to begin with
  /** @param {Record<string, any>} of */
  const begin = async (of) => {
    try {
      const found = await ask(of);
      z = [...found.z[0]];
      if (found.z[1]) [ends.a, ends.b] = [[...z], found.z[1]];
      one(found);
      place();
      draw();
      paint();
    } catch (error) {
      complain(error);
    }
  };
  let sample = Number(query.get("sample") ?? 0);
  const next = (/** @type {number} */ to) => { sample = Math.max(0, to); note({ sample }); begin({ z: null, samples: [sample, sample + 1] }).then(between); };

  // --- the way between two points
  /** @type {{a: number[]|null, b: number[]|null}} */
  const ends = { a: null, b: null };
  const ways = /** @type {const} */ (["a", "b"]);
  const keepers = ways.map((end) => h("button", { type: "button", onclick: () => { ends[end] = [...z]; between(); } }, t(end === "a" ? "Begin here" : "End here")));
  const way = (/** @type {number} */ steps) => {
    const { a, b } = ends;
    return a && b ? Array.from({ length: steps }, (_, i) => a.map((x, d) => x + ((b[d] ?? 0) - x) * (i / (steps - 1)))) : null;
  };
  const film = h("button", { type: "button", onclick: async () => {
    const rows = way(FRAMES);
    if (!rows) return;
    film.disabled = true;
    try {
      const { image } = await post("/api/film", { run: run.run, z: rows, ...(label ? { label } : {}) });
      fill(animation, h("img", { src: image, alt: t("The interpolation, there and back") }));
      h("a", { href: image, download: `${run.run.split("/").at(-1)}-interpolation.gif` }).click();
    } catch (error) {
      complain(error);
    } finally {
      film.disabled = false;
    }
  } }, icon("download"), t("Save as GIF"));
  const animation = h("div", { class: "animation" });
  async function between() {
    const rows = way(STEPS);
    fill(animation);
    if (!rows) return fill(strip, h("p", { class: "hint" }, t("Choose where the way begins and where it ends.")));
    try {
      const found = pieces(await ask({ z: rows }));
      fill(strip, h("ol", { class: images ? "steps" : "steps rows" }, found.map((each, i) => h("li", {}, !images ? piece(each, t("Step {n}", { n: i + 1 })) : h("button", { type: "button", class: "bare", "aria-label": t("Step {n}", { n: i + 1 }), onclick: () => { z = [...(rows[i] ?? z)]; place(); moved(); paint(); } }, piece(each, ""))))));
    } catch (error) {
      complain(error);
    }
  }

  const codes = map(run, {
    go: (row) => { sample = row; note({ sample }); begin({ z: null, samples: [row] }); },
    from: () => z,
    moved: (to) => { z = to; place(); moved(); },
  });
  const choices = /** @type {string[]} */ (run.spec.condition === "label" ? (run.spec.classes ?? []) : []);
  const labels = h("select", { id: "class-of-latent", onchange: () => { label = labels.value; note({ label }); decode(); paint(); } }, choices.map((each) => h("option", { value: each, selected: each === label }, each)));
  if (choices.length && !label) label = choices[0] ?? "";
  append(main, h("h2", {}, t("Latents")), h("p", { class: "lead" }, t("Move through the latent space and see what is decoded from each point.")),
    h("div", { class: "row tools" },
      h("button", { type: "button", onclick: () => next(sample + 1) }, icon("dice"), t("Another example")),
      h("button", { type: "button", onclick: () => { z = z.map(() => 0); place(); moved(); paint(); } }, t("Origin")),
      choices.length ? h("label", { class: "axis", for: "class-of-latent" }, t("Class")) : null, choices.length ? labels : null),
    h("div", { class: "latents" },
      h("div", {}, h("div", { class: "plane-box" }, plane, dot), h("div", { class: "row between" }, axis(t("Across"), across, (d) => { across = d; }), axis(t("Up"), up, (d) => { up = d; }))),
      h("div", {}, shown, h("div", { class: "row" }, keepers)), sliders),
    h("section", {}, h("h3", {}, t("Interpolation")), strip, images ? h("div", { class: "row more" }, film, animation) : null),
    codes.element,
    run.does?.includes("reconstruct") || run.commands.some((each) => each.name === "reconstruct")
      ? h("section", {}, h("h3", {}, t("Begin with an example of your own")), dropzone({ label: t("Choose a file") }, async (files) => { const { upload: id } = await upload(files.slice(0, 1)); await begin({ z: null, upload: id }); })) : null);
  await begin({ z: null, samples: [sample, sample + 1] });
  await between();
  whenLeft(() => { wanted = false; });
}

/** What was decoded, one by one, however the kind of data is shown.
 * @param {any} found @returns {any[]} */
const pieces = (found) => found.shown ?? (found.images ?? []).map((/** @type {string} */ image) => ({ image }));

/** @param {any} each @param {string} alt */
function piece(each, alt) {
  if (each.image) return h("img", { src: each.image, alt });
  if (each.audio) return player(each.audio, alt || t("Sound"));
  if (each.texts) return h("p", { class: "text" }, each.texts.join("\n"));
  return h("dl", { class: "figures" }, (each.columns ?? []).map((/** @type {string} */ name, /** @type {number} */ i) => h("div", {}, h("dt", {}, name), h("dd", {}, String(each.rows?.[0]?.[i] ?? "–")))));
}

/** @param {string} url @returns {Promise<HTMLImageElement|null>} */
const loaded = (url) => new Promise((resolve) => {
  const image = new Image();
  image.onload = () => resolve(image);
  image.onerror = () => resolve(null);
  image.src = url;
});
