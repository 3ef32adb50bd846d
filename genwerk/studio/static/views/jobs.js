// @ts-check
// What is being computed, what waits, and what is done.

import { get, post, remove } from "../api.js";
import { fill, h, icon } from "../dom.js";
import { moment, spelt, t } from "../i18n.js";
import { link, whenLeft } from "../pages.js";
import { badge, complain, empty, going } from "../parts.js";

/** Milliseconds after which the list is read again. */
const AGAIN = 2000;
/** How many times the list is read until it is looked again which runs others train. */
const SELDOM = 5;

/** @param {HTMLElement} main */
export async function show(main) {
  const list = h("div", {});
  fill(main, h("h1", {}, t("Jobs")), h("p", { class: "lead" }, t("One job computes at a time, and one training beside it; the others wait for their turn.")), list);
  let last = "";
  /** Runs that are trained. @type {import("../types.js").RunEntry[]} */
  let trained = [];
  let looks = 0;
  const draw = async () => {
    if (looks++ % SELDOM === 0) trained = (await get("/api/runs")).filter((/** @type {import("../types.js").RunEntry} */ each) => each.state === "going on");
    const jobs = /** @type {import("../types.js").Job[]} */ (await get("/api/jobs"));
    const others = trained.filter(({ run }) => !jobs.some((job) => job.training && job.run === run && going(job.state)));
    if (JSON.stringify([jobs, others]) === last) return;
    last = JSON.stringify([jobs, others]);
    fill(list, others.length ? h("ul", { class: "jobs" }, others.map(other)) : null, jobs.length ? h("ul", { class: "jobs" }, [...jobs].sort((a, b) => Number(new Date(b.made)) - Number(new Date(a.made))).map(row))
      : others.length ? null : empty(t("Nothing has been started yet."), h("a", { class: "button main", href: link(["train"]) }, t("Train a model"))));
  };
  /** A training that was not started here. @param {import("../types.js").RunEntry} entry */
  const other = ({ run, state, changed }) => h("li", { class: "card row between" }, h("div", {}, h("div", { class: "row" }, h("a", { href: link(["run", run, "training"]) }, h("b", {}, spelt("train"))), badge(state),
    h("span", { class: "hint" }, t("trained by another process"))), h("p", { class: "hint" }, h("a", { href: link(["run", run]) }, run), " · ", moment(changed))),
  h("button", { type: "button", onclick: (/** @type {Event} */ event) => {
    /** @type {HTMLButtonElement} */ (event.currentTarget).disabled = true;
    post("/api/stop", { run }).then(() => { looks = 0; }, complain);
  } }, icon("stop"), t("Stop")));
  const row = (/** @type {import("../types.js").Job} */ job) => {
    return h("li", { class: "card row between" }, h("div", {}, h("div", { class: "row" }, h("a", { href: link(["job", job.job]) }, h("b", {}, spelt(job.command))), badge(job.training && job.shows && job.state === "cancelled" ? "stopped" : job.state),
      job.place ? h("span", { class: "hint" }, t("place {n} in the queue", { n: job.place })) : null),
    h("p", { class: "hint" }, job.run ? [h("a", { href: link(["run", job.run]) }, job.run), " · "] : null, moment(job.made)),
    job.error ? h("p", { class: "wrong" }, job.error) : null),
    going(job.state) && job.state !== "stopping" ? h("button", { type: "button", onclick: (/** @type {Event} */ event) => {
      /** @type {HTMLButtonElement} */ (event.currentTarget).disabled = true;
      remove("/api/jobs", { job: job.job }).then(draw, complain);
    } }, icon("stop"), job.training ? t("Stop") : t("Cancel")) : null);
  };
  await draw();
  const timer = setInterval(() => draw().catch(() => {}), AGAIN);
  whenLeft(() => clearInterval(timer));
}
