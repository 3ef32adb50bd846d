// @ts-check
// A run: what it is, and a tab for everything that can be done with it.

import { address, get, Refused, where } from "../api.js";
import { append, fill, h, icon } from "../dom.js";
import { listed, moment, spelt, t } from "../i18n.js";
import { go, link, whenLeft } from "../pages.js";
import { badge, going, inWords, picture, problem, standing, table, waiting } from "../parts.js";
import { file } from "../results.js";
import { panel } from "./command.js";
import { show as complete } from "./complete.js";
import { show as latents } from "./latents.js";
import { show as mix } from "./mix.js";
import { show as sample } from "./sample.js";
import { show as training } from "./training.js";
import { show as translate } from "./translate.js";
import { show as write } from "./write.js";

/** @typedef {import("../types.js").Run} Run */
/** @typedef {import("../types.js").Command} Command */

/** Commands for which looking beats a form, on data where it does.
 * @type {Record<string, (main: HTMLElement, run: Run, command: Command) => void|Promise<void>>} */
const SPECIAL = {
  sample,
  complete: (main, run, command) => (run.spec.kind === "text" ? write : complete)(main, run, command),
  translate,
  mix,
};
/** Milliseconds after which it is looked again how a run stands. */
const AGAIN = 3000;

/** @param {HTMLElement} main @param {import("../pages.js").Place} place */
export async function show(main, { parts }) {
  const run = await found(parts[1] ?? "");
  if (!run) return;
  const tab = parts[2] ?? "";
  const own = /** @type {[string, string][]} */ ([["", t("Overview")], ["training", t("Training")]]);
  if (run.latent) own.push(["latents", t("Latents")]);
  const groups = new Map([["", own]]);
  for (const command of run.commands) {
    const tabs = groups.get(command.group) ?? [];
    tabs.push([command.name, title(command, run)]);
    groups.set(command.group, tabs);
  }
  const mark = h("span", {}, badge(run.state));
  const tabs = h("nav", { class: "tabs", "aria-label": t("What can be done with this run") }, [...groups].map(([group, entries]) => h("div", { class: "group" },
    group ? h("p", { class: "hint" }, t(group)) : null,
    entries.map(([name, said]) => h("a", { href: link(["run", run.run, name].filter(Boolean)), "aria-current": name === tab ? "page" : null }, said)))));
  const body = h("div", { class: "tab" });
  fill(main, h("p", { class: "crumbs" }, h("a", { href: link(["runs"]) }, t("Runs"))),
    h("div", { class: "row" }, h("h1", {}, run.run), mark),
    h("p", { class: "hint" }, run.recipe, " · ", run.data ?? "–", " · ", moment(run.changed)),
    h("div", { class: "with-tabs" }, tabs, body));
  /** @param {Promise<void>|void} drawn */
  const until = async (drawn) => {
    const soon = waiting();
    append(body, soon);
    await drawn;
    soon.remove();
  };
  tabs.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
  const command = run.commands.find((each) => each.name === tab);
  if (tab === "") overview(body, run);
  else if (tab === "training") training(body, run, (state) => fill(mark, badge(state)));
  else if (tab === "latents" && run.latent) await until(latents(body, run));
  else if (command) {
    fill(body, h("h2", {}, title(command, run)), h("p", { class: "lead" }, t(command.summary)));
    const view = SPECIAL[tab];
    if (view) await until(view(body, run, command));
    else append(body, panel(command, run).element);
  } else append(body, run.commands.length || run.state !== "going on" ? t("This run cannot do that.") : waiting(t("This shows as soon as the training has saved its first weights.")));
  watched(run, tab, mark);
}

/** Keep the badge of a run right, show what it can do as soon as it has weights, and tell when it is gone.
 * @param {Run} run @param {string} tab @param {HTMLElement} mark */
function watched(run, tab, mark) {
  let state = run.state, ready = run.commands.length > 0;
  const look = async () => {
    try {
      const now = await get("/api/state", { run: run.run });
      if (now.ready && !ready) return window.dispatchEvent(new Event("hashchange"));
      ready = now.ready;
      if (now.state !== state && tab !== "training") {
        if (tab === "") return window.dispatchEvent(new Event("hashchange"));
        fill(mark, badge(now.state));
      }
      state = now.state;
    } catch (error) {
      if (!(error instanceof Refused) || error.status !== 400) return;
      clearInterval(timer);
      mark.parentElement?.after(problem(error.message));
    }
  };
  const timer = setInterval(look, AGAIN);
  whenLeft(() => clearInterval(timer));
}

/**
 * All of a run; of one that has no checkpoint yet what the list of runs tells.
 * One that waits for its turn is shown as the job that it is.
 * @param {string} name @returns {Promise<Run|void>}
 */
async function found(name) {
  try {
    return await get("/api/run", { run: name });
  } catch (error) {
    const runs = /** @type {import("../types.js").RunEntry[]} */ (await get("/api/runs"));
    const begun = runs.find((each) => each.run === name);
    if (!begun) {
      const jobs = /** @type {import("../types.js").Job[]} */ (await get("/api/jobs"));
      const job = jobs.find((each) => each.training && each.run === name && going(each.state));
      if (job) return go(link(["job", job.job]));
      throw error;
    }
    return { ...begun, spec: { kind: begun.kind, shape: [] }, latent: 0, commands: [], settings: [], report: null, samples: [], files: [] };
  }
}

/** @param {Command} command @param {Run} run */
const title = (command, run) => (command.name === "complete" && run.spec.kind === "text" ? t("Write") : spelt(command.name));

/** @param {HTMLElement} body @param {Run} run */
function overview(body, run) {
  const newest = run.samples.at(-1);
  const facts = /** @type {[string, any][]} */ ([
    [t("State"), standing(run.stands)], [t("Recipe"), run.recipe], [t("Data"), run.data], [t("Kind"), inWords(run.spec)],
    [t("Classes"), run.spec.classes?.length ? few(run.spec.classes) : null], [t("Columns"), run.spec.columns?.length ? few(run.spec.columns) : null],
    [t("Latent dimensions"), run.latent || null], [t("Can"), listed(run.does?.map((each) => t(each)) ?? [])]]);
  append(body,
    h("div", { class: "live" },
      h("section", {}, h("h2", {}, t("About")), h("dl", { class: "figures" }, facts.filter(([, value]) => value).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))))),
      newest ? h("section", {}, h("h2", {}, t("Newest samples")), sampleOf(newest),
        h("div", { class: "row more" }, h("a", { class: "button", href: address("/api/zip", { run: run.run }), download: "" }, icon("download"), t("All samples as .zip")))) : null),
    run.report ? h("section", {}, h("h2", {}, t("Report")), reported(run.report)) : null,
    run.samples.length > 1 ? h("details", {}, h("summary", {}, t("Samples of earlier rounds ({n})", { n: run.samples.length - 1 })), h("div", { class: "strip" }, run.samples.slice(0, -1).map(sampleOf))) : null,
    h("details", {}, h("summary", {}, t("Settings ({n})", { n: run.settings.length })), table([t("Setting"), t("Value")], run.settings.map(([name, value]) => [name, value]))),
    h("details", {}, h("summary", {}, t("Files ({n})", { n: run.files.length })), h("ul", { class: "files" }, run.files.map(({ name, url }) => h("li", {}, h("a", { href: where(url), download: name.split("/").at(-1) }, name))))));
}

/** @param {string[]} names */
const few = (names) => names.slice(0, 12).join(", ") + (names.length > 12 ? ", …" : "");

/** @param {any} report */
function reported(report) {
  const { columns = [], rows = [], notes = [] } = report.rows ? report : { rows: report.table ?? [] };
  return h("div", { class: "report" }, table(columns, rows), notes.length ? h("details", {}, h("summary", {}, t("How each figure was measured ({n})", { n: notes.length })), notes.map((/** @type {string} */ line) => h("p", { class: "note" }, line))) : null);
}

/** @param {import("../api.js").Named} sample */
function sampleOf(sample) {
  const [url, name] = [where(sample), typeof sample === "string" ? sample : sample.name];
  const end = name.split(".").at(-1) ?? "";
  const kind = ["png", "jpg", "webp", "gif"].includes(end) ? "image" : ["wav", "flac", "ogg"].includes(end) ? "sound" : end === "txt" ? "text" : "table";
  const round = Number(name.match(/(\d+)\.\w+$/)?.[1]);
  return kind === "image" ? picture(url, t("Samples of round {round}", { round }), t("Round {round}", { round })) : file({ url, name, kind });
}
