// @ts-check
// Completions: paint over what is missing, and see how it may have been.

import { get, upload, where } from "../api.js";
import { append, h } from "../dom.js";
import { named, t } from "../i18n.js";
import { dropzone, segments, slider } from "../parts.js";
import { panel } from "./command.js";

/** @param {HTMLElement} main @param {import("../types.js").Run} run @param {import("../types.js").Command} command */
export function show(main, run, command) {
  if (run.spec.kind !== "image") return void append(main, panel(command, run, { first: ["known", "input", "k", "n"] }).element);
  const [, height = 8, width = 8] = run.spec.shape;
  const mask = painted(width, height, () => keep());
  /** What was chosen, kept so that it stands beside its results after a reload. */
  const kept = `mask ${run.run}`;
  const before = JSON.parse(sessionStorage.getItem(kept) ?? "{}");
  let how = before.how === "paint" ? "paint" : "half";
  const keep = () => sessionStorage.setItem(kept, JSON.stringify({ how, half: halves.value, missing: mask.missing(), source }));
  /** The picture of one's own. @type {{upload: string, name: string}|null} */
  let source = before.source ?? null;
  /** What is on its way; who starts before it is there waits for it. */
  let coming = Promise.resolve(/** @type {import("../types.js").Upload|null} */ (null));
  const halves = h("select", { id: "known-half", onchange: () => keep() }, ["top-half", "bottom-half", "left-half", "right-half"].map((each) => h("option", { value: each }, t(each))));
  const half = h("div", { class: "field" }, h("label", { for: "known-half" }, named("known")), halves);
  if (before.half) halves.value = before.half;
  if (before.missing) mask.set(before.missing);
  const choose = segments(t("What is known"), [["half", t("A half")], ["paint", t("Paint")]], how, (value) => {
    how = value;
    keep();
    shown();
  });
  const shown = () => {
    half.hidden = how !== "half";
    mask.element.hidden = how === "half";
    if (how !== "half") behind();
  };
  const behind = async () => {
    if (source && await mask.behind(where(source))) return;
    source = null;
    const found = await get("/api/example", { run: run.run, row: 0 }).catch(() => null);
    if (found?.shown?.image) mask.behind(found.shown.image);
  };
  const own = dropzone({ label: t("Own picture"), accept: "image/*", taken: source?.name }, async (files) => {
    const [file] = files;
    if (!file) return;
    const found = await (coming = upload([file]));
    source = { upload: found.upload, name: found.name };
    keep();
    mask.behind(URL.createObjectURL(file));
  });
  /** @type {Record<string, any>} */
  const always = {};
  const view = panel(command, run, {
    hidden: ["known", "input", ...(run.spec.condition === "prompt" ? [] : ["prompt"])], first: ["k", "n", "label", "seed"], start: t("Complete"), always,
    above: h("div", { class: "above" }, choose, half, mask.element, own, h("p", { class: "hint" }, t("Without a picture of yours, examples are taken from the held-out data."))),
    uploads: async () => {
      await coming;
      keep();
      /** @type {Record<string, string>} */
      const ids = source ? { input: source.upload } : {};
      delete always.known;
      if (how === "half") always.known = halves.value;
      else ids.known = (await upload([await mask.file()])).upload;
      return ids;
    },
  });
  append(main, view.element);
  shown();
}

/**
 * A canvas on which what is missing is painted, in the pixels of the model; white in its file is what is known.
 * @param {number} width @param {number} height @param {() => void} changed  is called after each stroke
 */
function painted(width, height, changed) {
  const scale = Math.max(1, Math.floor(384 / Math.max(width, height)));
  const canvas = h("canvas", { class: "paint", width: width * scale, height: height * scale, tabindex: 0, role: "img", "aria-label": t("What is missing is painted here; the fields below set a rectangle instead") });
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const missing = new Uint8Array(width * height);
  /** @type {HTMLImageElement|null} */
  let image = null;
  let size = Math.max(1, Math.round(Math.max(width, height) / 8));
  let erase = false;

  function draw() {
    pen.imageSmoothingEnabled = false;
    pen.fillStyle = "#8a8f98";
    pen.fillRect(0, 0, canvas.width, canvas.height);
    if (image) pen.drawImage(image, 0, 0, canvas.width, canvas.height);
    pen.fillStyle = "rgba(98, 112, 255, 0.78)";
    for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) if (missing[y * width + x]) pen.fillRect(x * scale, y * scale, scale, scale);
  }
  /** @param {number} left @param {number} top_ @param {number} right @param {number} bottom @param {0|1} value */
  function set(left, top_, right, bottom, value) {
    for (let y = Math.max(0, top_); y < Math.min(height, bottom); y++) for (let x = Math.max(0, left); x < Math.min(width, right); x++) missing[y * width + x] = value;
    draw();
  }
  /** Where the pen was last, so that a quick stroke leaves no gaps. @type {[number, number]} */
  let last = [0, 0];
  const stroke = (/** @type {PointerEvent} */ event, begins = false) => {
    const box = canvas.getBoundingClientRect();
    const [x, y] = [((event.clientX - box.left) / box.width) * width, ((event.clientY - box.top) / box.height) * height];
    const [from_x, from_y] = begins ? [x, y] : last;
    const steps = Math.max(1, Math.ceil(Math.hypot(x - from_x, y - from_y)));
    for (let i = 1; i <= steps; i++) {
      const left = Math.round(from_x + ((x - from_x) * i) / steps - size / 2), top = Math.round(from_y + ((y - from_y) * i) / steps - size / 2);
      set(left, top, left + size, top + size, erase ? 0 : 1);
    }
    last = [x, y];
  };
  canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); stroke(event, true); });
  canvas.addEventListener("pointermove", (event) => { if (canvas.hasPointerCapture(event.pointerId)) stroke(event); });
  canvas.addEventListener("lostpointercapture", changed);
  /** Cover a rectangle, or (0) uncover it, all at once. @param {[number, number, number, number]} sides @param {0|1} value */
  const cover = (sides, value) => { set(...sides, value); changed(); };
  const side = (/** @type {string} */ name, /** @type {number} */ value, /** @type {number} */ most) => {
    const input = h("input", { type: "number", min: 0, max: most, value });
    return { input, element: h("label", { class: "axis" }, name, input) };
  };
  const [left, top_, right, bottom] = [side(t("Left"), 0, width), side(t("Top"), Math.floor(height / 2), height), side(t("Right"), width, width), side(t("Bottom"), height, height)];
  draw();
  return {
    element: h("div", { class: "mask" }, canvas, h("div", { class: "mask-tools" },
      h("div", { class: "row" }, segments(t("Brush"), [["paint", t("Paint")], ["erase", t("Erase")]], "paint", (value) => { erase = value === "erase"; }),
        h("button", { type: "button", onclick: () => cover([0, 0, width, height], 0) }, t("Clear"))),
      slider(t("Brush"), { min: 1, max: Math.max(2, Math.round(Math.max(width, height) / 2)), step: 1, value: size, text: (value) => `${value} px` }, (value) => { size = value; }).element,
      h("fieldset", { class: "rectangle" }, h("legend", {}, t("A rectangle")), h("div", { class: "row" }, [left, top_, right, bottom].map((each) => each.element),
        h("button", { type: "button", onclick: () => cover([left.input.valueAsNumber, top_.input.valueAsNumber, right.input.valueAsNumber, bottom.input.valueAsNumber], 1) }, t("Cover it")))))),
    /** Pixels that are painted over, one digit each. */
    missing: () => missing.join(""),
    /** @param {string} digits */
    set(digits) {
      if (digits.length === missing.length) missing.set([...digits].map(Number));
      draw();
    },
    /** Whether the picture could be shown. @param {string} url @returns {Promise<boolean>} */
    behind(url) {
      const found = new Image();
      found.src = url;
      return found.decode().then(() => { image = found; draw(); return true; }, () => false);
    },
    /** @returns {Promise<File>} */
    async file() {
      const sheet = h("canvas", { width, height });
      const ink = /** @type {CanvasRenderingContext2D} */ (sheet.getContext("2d"));
      ink.fillStyle = "#fff";
      ink.fillRect(0, 0, width, height);
      ink.fillStyle = "#000";
      for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) if (missing[y * width + x]) ink.fillRect(x, y, 1, 1);
      const blob = await new Promise((/** @type {(found: Blob|null) => void} */ resolve) => sheet.toBlob(resolve, "image/png"));
      return new File([/** @type {Blob} */ (blob)], "mask.png", { type: "image/png" });
    },
  };
}
