// @ts-check
// Any command: its form, and what comes of it. A command that is new in the library appears here by itself.

import { begin, get, Refused } from "../api.js";
import { append, fill, h, icon } from "../dom.js";
import { form } from "../forms.js";
import { spelt, t } from "../i18n.js";
import { here, note } from "../pages.js";
import { complain, problem } from "../parts.js";
import { find, follow } from "../results.js";

/**
 * The page of a command that needs no run.
 * @param {HTMLElement} main @param {string} name
 */
export async function show(main, name) {
  const commands = /** @type {import("../types.js").Command[]} */ (await get("/api/commands"));
  const command = commands.find((each) => each.name === name);
  if (!command) return fill(main, problem(t("There is no command {name}.", { name })));
  fill(main, h("h1", {}, spelt(name)), h("p", { class: "lead" }, t(command.summary)));
  append(main, panel(command, null).element);
}

/**
 * The form of a command, and below it the results of the job that the address names.
 * @param {import("../types.js").Command} command
 * @param {import("../types.js").Run|null} run
 * @param {object} [how]
 * @param {string[]} [how.hidden]
 * @param {string[]} [how.first]
 * @param {Record<string, any>} [how.values]  to begin with
 * @param {Record<string, any>} [how.always]  set in any case
 * @param {string} [how.start]  what the button says
 * @param {() => Record<string, string>|Promise<Record<string, string>>} [how.uploads]
 * @param {import("../dom.js").Child} [how.above]  between the heading and the form
 * @param {(told: any) => boolean|void} [how.told]
 * @param {(job: string) => void} [how.begun]
 * @param {(told: any) => void} [how.progress]
 * @param {(state: string) => void} [how.over]
 */
export function panel(command, run, how = {}) {
  const every = command.sections.flatMap((section) => section.fields);
  const hidden = run === null ? [] : [...every.filter((each) => each.run).map((each) => each.name), ...(run.spec.condition ? [] : ["condition"])];
  const fields = form(of(command.sections, run), { draft: `form ${command.name} ${run?.run ?? ""}`, first: how.first, values: how.values, hidden: [...(how.hidden ?? []), ...hidden] });
  const out = h("div", { class: "out" });
  const go = h("button", { class: "main" }, icon("play"), how.start ?? t("Start"));
  /** Suggest a folder that is free to a command that writes one. */
  const suggest = async () => {
    const folder = every.find((each) => each.name === "out")?.value;
    if (folder && fields.has("out")) fields.suggest("out", (await get("/api/free", { out: folder })).out);
  };
  let suggestion = suggest().catch(() => {});
  let stop = () => {};
  /** @param {string} job @param {boolean} [now]  whether it was started just now, from the form as it stands */
  const watch = (job, now = false) => {
    stop();
    const told = (/** @type {any} */ each) => (now && each.type === "error" && fields.refuse(each.settings ?? [], each.error)) || how.told?.(each);
    const over = (/** @type {string} */ state) => {
      if (now && state === "done") suggestion = suggest().catch(() => {});
      how.over?.(state);
    };
    const following = follow(job, { told, over, progress: how.progress, lost: () => note({ job: null }) });
    stop = following.stop;
    fill(out, following.element);
  };
  /** @param {Record<string, any>} [more] */
  const start = async (more = {}) => {
    go.disabled = true;
    try {
      await suggestion;
      const uploads = { ...fields.uploads(), ...(await how.uploads?.()) };
      const values = { ...fields.values(), ...how.always, ...more };
      for (const name of Object.keys(uploads)) delete values[name];
      const job = await begin(command.name, run?.run ?? null, values, uploads);
      how.begun?.(job);
      note({ job });
      watch(job, true);
    } catch (error) {
      if (!(error instanceof Refused) || !fields.refuse(error.settings, error.message)) complain(error);
    } finally {
      go.disabled = false;
    }
  };
  const element = h("div", { class: "panel-of-command" },
    h("form", { class: "card", onsubmit: (/** @type {Event} */ event) => { event.preventDefault(); start(); } },
      h("h2", { class: "unseen" }, t("Settings")), how.above, fields.element, h("div", { class: "row end" }, go)), out);
  const job = here().query.get("job");
  if (job) find(job).then((known) => {
    if (known) return watch(job);
    note({ job: null });
    fill(out, h("p", { class: "note" }, t("These results are not kept any more; start it again for them.")));
  }, complain);
  return { element, fields, start, watch, out };
}

/**
 * Sections in which classes are chosen and not typed, where the run has a list of them.
 * @param {import("../types.js").Section[]} sections @param {import("../types.js").Run|null} run
 * @returns {import("../types.js").Section[]}
 */
function of(sections, run) {
  const classes = run?.spec.classes ?? [];
  if (!classes.length) return sections;
  const chosen = (/** @type {import("../types.js").Field} */ field) =>
    ["label", "attribute"].includes(field.name) && field.type === "text" ? /** @type {const} */ ({ ...field, type: "choice", choices: classes, value: field.value ?? (field.optional ? null : classes[0]) }) : field;
  return sections.map((section) => ({ ...section, fields: section.fields.map(chosen) }));
}
