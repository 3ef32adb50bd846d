// @ts-check
// One job, with all that it has told.

import { get } from "../api.js";
import { append, fill, h, icon } from "../dom.js";
import { moment, spelt, t } from "../i18n.js";
import { link, whenLeft } from "../pages.js";
import { problem } from "../parts.js";
import { find, follow, shown as shown_ } from "../results.js";
import { live } from "./training.js";

/** Milliseconds after which it is looked again whether a run is there. */
const AGAIN = 1000;

/** @param {HTMLElement} main @param {import("../pages.js").Place} place */
export async function show(main, { parts }) {
  const job = await find(parts[1] ?? "");
  if (!job) return fill(main, problem(t("This job is not known any more.")), h("a", { href: link(["jobs"]) }, t("All jobs")));
  const curves = h("div", {});
  let shown = false;
  let end = () => {};
  /** Show the curves as soon as the run is there and is of this job; what it needs before that takes a moment. */
  const look = async () => {
    if (!job.training || !job.run || shown || !(await find(job.job).catch(() => null))?.shows) return;
    const runs = /** @type {import("../types.js").RunEntry[]} */ (await get("/api/runs").catch(() => []));
    if (shown || !runs.some((each) => each.run === job.run)) return;
    shown = true;
    clearInterval(timer);
    end = live(curves, job.run, false);
  };
  const timer = setInterval(look, AGAIN);
  whenLeft(() => clearInterval(timer));
  const back = h("div", { class: "row more" });
  /** A training that is over can be resumed from here; of one that could not begin the form is kept. */
  const over = async (/** @type {string} */ state) => {
    const form = JSON.parse(sessionStorage.getItem(`form of ${job.job}`) ?? "null");
    if (form && state === "failed") fill(back, h("a", { class: "button", href: form.place }, t("Back to the form, as it was filled in")));
    else if (form && state === "done") for (const draft of form.drafts) sessionStorage.removeItem(draft);
    await look();
    clearInterval(timer);
    if (shown && job.run && state !== "done") {
      end();
      live(curves, job.run, true, () => fill(wrong), following.head);
    }
    if (state === "done" && job.training && job.run) fill(back, h("a", { class: "button main", href: link(["run", job.run]) }, icon("play"), t("Use the model")));
  };
  /** What a training says of its data and settings, which is not to stand before the curves. */
  const notes = h("details", { hidden: true }, h("summary", {}, t("Notes on the data and the training")));
  const report = h("div", {});
  /** Why a training failed, until its run tells. */
  const wrong = h("div", {});
  const told = (/** @type {any} */ each) => {
    if (job.training && each.type === "error") {
      fill(wrong, problem(each.error));
      return true;
    }
    if (!job.training || !["note", "table", "figures"].includes(each.type)) return false;
    if (each.type !== "note") append(report, shown_(each));
    else {
      notes.hidden = false;
      append(notes, h("p", { class: "note" }, each.text));
    }
    return true;
  };
  const following = follow(job.job, { over, told, training: job.training });
  fill(main, h("p", { class: "crumbs" }, h("a", { href: link(["jobs"]) }, t("Jobs"))),
    h("h1", {}, spelt(job.command), job.run ? [t(": "), h("a", { href: link(["run", job.run, job.training ? "training" : ""].filter(Boolean)) }, job.run)] : null),
    h("p", { class: "hint" }, moment(job.made)), following.element, wrong, back, curves, report, notes);
  await look();
}
