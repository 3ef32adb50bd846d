// @ts-check
// Words in the chosen language. English texts are their own keys; `words/*.json` holds what they are elsewhere.

import { h } from "./dom.js";

export const LANGUAGES = { en: "English", zh: "中文" };

/** @type {Record<string, string>} */
let words = {};
/** @type {"en"|"zh"} */
let chosen = "en";

/** The language that was chosen here before, or else the browser's. */
export function preferred() {
  const kept = localStorage.getItem("language");
  const wanted = kept ? [kept] : navigator.languages;
  return wanted.some((each) => each.startsWith("zh")) && !wanted[0]?.startsWith("en") ? "zh" : "en";
}

/** @param {"en"|"zh"} language */
export async function speak(language) {
  const files = language === "en" ? ["en"] : [language, `${language}-help`];
  const replies = await Promise.all(files.map((name) => fetch(`/static/words/${name}.json`)));
  words = Object.assign({}, ...(await Promise.all(replies.map((reply) => (reply.ok ? reply.json() : {})))));
  chosen = language;
  document.documentElement.lang = language === "zh" ? "zh-Hans" : "en";
}

export const language = () => chosen;

/**
 * `text` in the chosen language, with `{name}` replaced by the value of that name.
 * @param {string} text
 * @param {Record<string, string|number>} [values]
 */
export function t(text, values = {}) {
  const known = (Object.hasOwn(words, text) && words[text]) || text;
  return known.replace(/\{(\w+)\}/g, (whole, name) => {
    const value = values[name];
    return value === undefined ? whole : typeof value === "number" ? number(value) : value;
  });
}

/**
 * What a setting is called: a name that a dictionary has, or its own, spelt out.
 * @param {string} name  such as `data.holdout` or `top_k`
 * @param {string} [type]  of its values, where a name has two meanings
 */
export function named(name, type) {
  const last = name.split(".").at(-1) ?? name;
  for (const key of [`field:${last}:${type}`, `field:${name}`, `field:${last}`]) if (Object.hasOwn(words, key)) return words[key];
  return spelt(last);
}

/**
 * What a value of a setting means, with the value itself, which is what is sent.
 * @param {string} name  of the setting
 * @param {string} value
 */
export function valued(name, value) {
  for (const key of [`choice:${name.split(".").at(-1)}.${value}`, `choice:${value}`])
    if (Object.hasOwn(words, key)) return t("{meaning} ({value})", { meaning: words[key] ?? "", value });
  return t(value);
}

/** Without spaces between Chinese characters, as they are left where words take the places of names. @param {string} text */
export const closed = (text) => text.replace(/(?<=\p{Script=Han}) (?=\p{Script=Han})/gu, "");

/** Several things in one line. @param {string[]} parts */
export const listed = (parts) => parts.filter(Boolean).join(chosen === "zh" ? "，" : ", ");

/** A stage of a training, which may say how many components a mixture has there.
 * @param {string} stage */
export function staged(stage) {
  const [, n = "", start] = stage.match(/^(\d+) components?(?:, start (\d+))?$/) ?? [];
  if (!n || chosen === "en") return t(stage);
  return start ? t("{n} components, start {start}", { n, start }) : t("{n} components", { n });
}

/** A name with words between spaces and a capital: `image-to-image` is Image to image.
 * @param {string} name */
export function spelt(name) {
  const plain = name.replace(/[-_]+/g, " ");
  return t(plain.charAt(0).toUpperCase() + plain.slice(1));
}

/** What a column of an optimisation is called: `task 1 hv`, `share of SBX`.
 * @param {string} column */
export function headed(column) {
  const [, task, share, what = column] = column.match(/^(?:task (\d+) )?(share of )?(.*)$/) ?? [];
  const plain = share ? t("share of {operator}", { operator: t(what) }) : t(what);
  return task ? t("task {n}: {what}", { n: task, what: plain }) : plain;
}

const locale = () => (chosen === "zh" ? "zh-CN" : "en-GB");

/** @param {number} value @param {Intl.NumberFormatOptions} [how] */
export const number = (value, how) => new Intl.NumberFormat(locale(), how).format(value);

/** Four digits, as figures are read.
 * @param {number} value */
export function figure(value) {
  const size = Math.abs(value);
  if (Number.isInteger(value)) return number(value);
  return size !== 0 && (size < 1e-3 || size >= 1e6) ? value.toExponential(2) : number(value, { maximumSignificantDigits: 4 });
}

/** A moment, with how it is read in full when pointed at.
 * @param {string|number} at  ISO 8601, or seconds since 1970 */
export function moment(at) {
  const date = new Date(typeof at === "number" ? at * 1000 : at);
  if (Number.isNaN(date.getTime())) return h("span", {}, String(at));
  const full = new Intl.DateTimeFormat(locale(), { dateStyle: "long", timeStyle: "medium" }).format(date);
  return h("time", { datetime: date.toISOString(), title: full }, ago(date));
}

/** @param {Date} date */
function ago(date) {
  const seconds = (date.getTime() - Date.now()) / 1000;
  const relative = new Intl.RelativeTimeFormat(locale(), { numeric: "auto" });
  for (const [unit, size, most] of /** @type {const} */ ([["second", 1, 60], ["minute", 60, 60], ["hour", 3600, 24], ["day", 86400, 7]])) {
    if (Math.abs(seconds) < size * most) return spaced(relative.format(Math.round(seconds / size), unit));
  }
  return new Intl.DateTimeFormat(locale(), { dateStyle: "medium" }).format(date);
}

/** Numbers with a space before a Chinese unit, as everywhere else on the page.
 * @param {string} text */
const spaced = (text) => text.replace(/(\d)(?=[\u4e00-\u9fff])/g, "$1 ");

/** A span of time, in the two largest units that it has.
 * @param {number} seconds */
export function span(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const parts = /** @type {const} */ ([["hour", 3600], ["minute", 60], ["second", 1]]);
  let rest = whole;
  const found = [];
  for (const [unit, size] of parts) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count || (unit === "second" && !found.length)) found.push(number(count, { style: "unit", unit, unitDisplay: "short" }));
  }
  return spaced(found.slice(0, 2).join(" "));
}
