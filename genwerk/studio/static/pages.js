// @ts-check
// Where the page is: `#/run/NAME/sample?job=7` is a view, its parts and its state.

/**
 * @typedef {object} Place
 * @property {string[]} parts
 * @property {URLSearchParams} query
 */

/** @returns {Place} */
export function here() {
  const [path = "", query = ""] = location.hash.replace(/^#\/?/, "").split("?", 2);
  return { parts: path.split("/").filter(Boolean).map(decodeURIComponent), query: new URLSearchParams(query) };
}

/** @param {string[]} parts @param {Record<string, string|number|null|undefined>} [query] */
export function link(parts, query = {}) {
  const kept = new URLSearchParams();
  for (const [name, value] of Object.entries(query))
    if (value !== null && value !== undefined && value !== "") kept.set(name, String(value));
  return `#/${parts.map(encodeURIComponent).join("/")}${kept.size ? `?${kept}` : ""}`;
}

/**
 * Note state in the address without going anywhere.
 * @param {Record<string, string|number|null|undefined>} changes
 */
export function note(changes) {
  const { parts, query } = here();
  history.replaceState(null, "", link(parts, { ...Object.fromEntries(query), ...changes }));
}

/** @param {string} where */
export function go(where) {
  location.hash = where;
}

/** What ends with the view that is shown: streams, timers.
 * @type {(() => void)[]} */
let endings = [];

/** @param {() => void} ending */
export function whenLeft(ending) {
  endings.push(ending);
}

export function leave() {
  for (const ending of endings) ending();
  endings = [];
}
