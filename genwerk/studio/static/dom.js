// @ts-check
// Elements, built without markup: whatever text they get is text.

const SVG = "http://www.w3.org/2000/svg";

/** @typedef {Node|string|number|null|undefined|false} Child */

/**
 * @param {Element} element
 * @param {Record<string, any>} props
 */
function assign(element, props) {
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "checked") /** @type {any} */ (element)[name] = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
}

/**
 * An element: `h("button", {type: "button", onclick: start}, "Start")`.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, any>} [props]
 * @param {...(Child|Child[])} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  append(element, ...children);
  assign(element, props);
  return element;
}

/**
 * An element of a drawing.
 * @param {string} tag
 * @param {Record<string, any>} [props]
 * @param {...(Child|Child[])} children
 * @returns {SVGElement}
 */
export function s(tag, props = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  append(element, ...children);
  assign(element, props);
  return element;
}

/**
 * @param {Element} element
 * @param {...(Child|Child[])} children
 */
export function append(element, ...children) {
  for (const child of children.flat()) {
    if (child !== null && child !== undefined && child !== false)
      element.append(child instanceof Node ? child : String(child));
  }
}

/**
 * Put `children` in the place of what an element holds.
 * @param {Element} element
 * @param {...(Child|Child[])} children
 */
export function fill(element, ...children) {
  element.replaceChildren();
  append(element, ...children);
}

let counted = 0;

/** An id that no other element has.
 * @param {string} stem */
export const unique = (stem) => `${stem.replace(/\W+/g, "-")}-${++counted}`;

/**
 * Say something to those who cannot see it appear.
 * @param {string} text
 */
export function announce(text) {
  const live = document.getElementById("live");
  if (live) live.textContent = text;
}

/**
 * `work` once calls have paused for `ms`.
 * @template {any[]} A
 * @param {(...args: A) => void} work
 * @param {number} ms
 */
export function paused(work, ms) {
  let timer = 0;
  return (/** @type {A} */ ...args) => {
    clearTimeout(timer);
    timer = window.setTimeout(() => work(...args), ms);
  };
}

export const PATHS = {
  train: "M13 2 4 14h7l-1 8 9-12h-7z",
  runs: "M4 4h7v7H4zM13 4h7v7h-7zM4 13h7v7H4zM13 13h7v7h-7z",
  jobs: "M4 6h16M4 12h16M4 18h10",
  compare: "M5 20V10M12 20V4M19 20v-7",
  optimise: "M4 4v16h16M8 15c1-6 4-8 10-9",
  tools: "M5 12h.01M12 12h.01M19 12h.01",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8ZM12 2v2M12 20v2M4.9 4.9l1.4 1.4M17.7 17.7l1.4 1.4M2 12h2M20 12h2M4.9 19.1l1.4-1.4M17.7 6.3l1.4-1.4",
  moon: "M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5Z",
  upload: "M12 16V4m0 0L7 9m5-5 5 5M4 17v3h16v-3",
  download: "M12 4v12m0 0 5-5m-5 5-5-5M4 17v3h16v-3",
  trash: "M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13",
  stop: "M6 6h12v12H6z",
  play: "M7 4v16l13-8z",
  dice: "M4 4h16v16H4zM9 9h.01M15 15h.01M15 9h.01M9 15h.01",
  close: "M6 6l12 12M18 6 6 18",
};

/**
 * A small drawing beside a word; it says nothing of its own.
 * @param {keyof typeof PATHS} name
 */
export function icon(name) {
  return s("svg", { viewBox: "0 0 24 24", class: "icon", "aria-hidden": "true" }, s("path", { d: PATHS[name] }));
}
