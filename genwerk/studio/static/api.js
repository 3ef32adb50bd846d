// @ts-check
// The server, as functions. Whatever it refuses becomes a Refused with its sentence.

import { language, t } from "./i18n.js";

export class Refused extends Error {
  /** @param {string} sentence @param {number} status @param {string[]} [settings]  those that it names */
  constructor(sentence, status, settings = []) {
    super(sentence);
    this.status = status;
    this.settings = settings;
  }
}

/** What asks for the password, and ends when it was right.
 * @type {() => Promise<void>} */
let login = async () => {};

/** @param {() => Promise<void>} how */
export function asks(how) {
  login = how;
}

/** @typedef {Record<string, string|number|boolean|null|undefined>} Params */

/** @param {string} path @param {Params} [params] */
export function address(path, params = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params))
    if (value !== null && value !== undefined && value !== "") query.set(name, String(value));
  return query.size ? `${path}?${query}` : path;
}

/** @typedef {string|{run?: string, job?: string, upload?: string, name: string, lang?: string}} Named  A file: its address, or what it belongs to, its name, and the language of a page. */

/** The address of a file, to be shown or (`save`) to be kept.
 * @param {Named} file @param {boolean} [save] */
export function where(file, save = false) {
  if (typeof file === "string") return file;
  return address(file.job ? "/api/jobfile" : file.upload ? "/api/upload" : "/api/file", save ? { ...file, save: 1 } : file);
}

/**
 * @param {string} method @param {string} url @param {BodyInit|null} [body] @param {Record<string, string>} [headers]
 * @param {AbortSignal} [signal]
 * @returns {Promise<any>}
 */
async function request(method, url, body = null, headers = {}, signal) {
  const all = { "Accept-Language": language() === "zh" ? "zh-CN" : "en", "X-Genwerk": "1", ...headers };
  let reply;
  try {
    reply = await fetch(url, { method, body, headers: all, signal });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Refused(t("The studio does not answer; is it still running?"), 0);
  }
  if (reply.status === 401 && !url.startsWith("/api/login")) {
    await login();
    return request(method, url, body, headers, signal);
  }
  const text = await reply.text();
  let found = null;
  try {
    found = text ? JSON.parse(text) : null;
  } catch {
    // no JSON: what follows says so by its status
  }
  if (!reply.ok) throw new Refused(found?.error ?? t("The studio answered {status}.", { status: String(reply.status) }), reply.status, found?.settings);
  return found;
}

/** @param {string} path @param {Params} [params] @param {AbortSignal} [signal] */
export const get = (path, params, signal) => request("GET", address(path, params), null, {}, signal);

/** @param {string} path @param {any} value @param {AbortSignal} [signal] */
export const post = (path, value, signal) =>
  request("POST", path, JSON.stringify(value), { "Content-Type": "application/json" }, signal);

/** @param {string} path @param {Params} params */
export const remove = (path, params) => request("DELETE", address(path, params));

/**
 * Files of this computer, brought to the studio; several become one folder of data.
 * @param {Iterable<File>} files
 * @returns {Promise<import("./types.js").Upload>}
 */
export async function upload(files) {
  const form = new FormData();
  for (const file of files) form.append("file", file, file.webkitRelativePath || file.name);
  return request("POST", "/api/uploads", form);
}

/**
 * Do a command.
 * @param {string} command @param {string|null} run @param {Record<string, any>} values
 * @param {Record<string, string>} [uploads]
 * @returns {Promise<string>} the job
 */
export async function begin(command, run, values, uploads = {}) {
  const made = await post("/api/jobs", { command, run, values, uploads });
  window.dispatchEvent(new Event("jobs"));
  return made.job;
}

/**
 * Messages as they come, those so far first; a message that comes again after a lost connection is told once.
 * @param {string} path @param {Params} params
 * @param {{message: (value: any) => void, again?: () => void, end?: () => void, lost?: () => void}} on  `lost` where the
 *   server does not know of it
 * @returns {() => void} what ends it
 */
export function listen(path, params, on) {
  const source = new EventSource(address(path, { ...params, lang: language() }));
  let last = -1;
  let opened = false;
  source.onopen = () => {
    if (opened && last < 0) on.again?.();
    opened = true;
  };
  source.onmessage = (event) => {
    const id = event.lastEventId === "" ? NaN : Number(event.lastEventId);
    if (!Number.isNaN(id)) {
      if (id <= last) return;
      last = id;
    }
    on.message(JSON.parse(event.data));
  };
  source.addEventListener("again", () => {
    last = -1;
    on.again?.();
  });
  source.addEventListener("end", () => {
    source.close();
    on.end?.();
  });
  source.onerror = () => {
    if (source.readyState === EventSource.CLOSED) on.lost?.();
  };
  return () => source.close();
}
