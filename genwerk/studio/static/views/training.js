// @ts-check
// A training as it goes on: curves, newest samples, time left, stop and resume.

import { address, begin, get, listen, remove } from "../api.js";
import { append, fill, h, icon } from "../dom.js";
import { t } from "../i18n.js";
import { note, whenLeft } from "../pages.js";
import { badge, complain, empty, picture, problem } from "../parts.js";
import { board, Training } from "../curves.js";
import { file } from "../results.js";

const KINDS = /** @type {Record<string, string>} */ ({ png: "image", jpg: "image", webp: "image", gif: "image", wav: "sound", flac: "sound", ogg: "sound", txt: "text", csv: "table", tsv: "table" });

/** Milliseconds without an event after which a training that another program began counts as stopped. */
const STILL = 15_000;

/**
 * Follow the training of a run in `box`.
 * @param {HTMLElement} box @param {string} run @param {boolean} [controls]
 * @param {(state: string) => void} [on]  is told how the training stands
 */
export function live(box, run, controls = true, on) {
  const state = h("div", { class: "row between" });
  const samples = h("div", { class: "samples" });
  const said = h("div", {});
  let training = new Training();
  let curves = board(training);
  const place = h("div", {}, curves.element);
  fill(box, state, said, h("div", { class: "live" }, place, h("section", { "aria-label": t("Samples") }, samples)));
  let newest = "", heard = 0;
  /** @type {() => void} */
  let end = () => {};
  const listenAgain = () => {
    end();
    training = new Training();
    curves = board(training);
    fill(place, curves.element);
    let ended = false;
    end = listen("/api/events", { run, after: 0 }, {
      message: (event) => {
        heard = Date.now();
        training.take(event);
        curves.update();
        if (event.file && ["samples", "reconstructions", "translations"].includes(event.event) && event.file !== newest) {
          newest = event.file;
          const name = `samples/${event.file}`;
          const url = address("/api/file", { run, name });
          const kind = KINDS[event.file.split(".").at(-1) ?? ""] ?? "data";
          fill(samples, h("h2", {}, t("Newest samples")), kind === "image" ? picture(url, t("Samples of round {round}", { round: event.round }), t("Round {round}", { round: event.round })) : file({ url, name, kind }));
        }
      },
      end: () => { ended = true; tell(); },
    });
    return () => ended;
  };
  let over = listenAgain();
  whenLeft(() => end());
  const tell = async () => {
    if (!controls) return;
    const job = /** @type {import("../types.js").Job|undefined} */ ((await get("/api/jobs").catch(() => [])).find((/** @type {any} */ each) => each.training && each.run === run));
    const going = job && (job.state === "running" || job.state === "queued");
    const elsewhere = !over() && Date.now() - heard < STILL;
    const stands = going ? job.state : training.ended || (elsewhere ? "going on" : "stopped");
    on?.(going && job.state === "running" ? "going on" : stands);
    fill(said, job?.state === "failed" && job.error ? problem(job.error) : null);
    fill(state, h("div", { class: "row" }, badge(going && job.state === "running" ? "going on" : stands), going && job.place ? h("span", { class: "hint" }, t("place {n} in the queue", { n: job.place })) : null),
      going ? h("button", { type: "button", onclick: () => remove("/api/jobs", { job: job.job }).then(tell, complain) }, icon("stop"), t("Stop"))
        : stands === "stopped" && training.round > 0 ? h("button", { type: "button", class: "main", onclick: resume }, icon("play"), t("Resume")) : null);
    if (going && over()) over = listenAgain();
  };
  const resume = async () => {
    try {
      const { recipe } = await get("/api/run", { run });
      note({ job: await begin("train", run, { recipe, out: run, resume: true }) });
      await tell();
    } catch (error) {
      complain(error);
    }
  };
  if (controls) {
    const timer = setInterval(tell, 3000);
    whenLeft(() => clearInterval(timer));
    setTimeout(tell, 600);
  }
}

/** @param {HTMLElement} main @param {import("../types.js").Run} run @param {(state: string) => void} on */
export function show(main, run, on) {
  const box = h("div", {});
  append(main, box);
  live(box, run.run, true, on);
  if (!run.state) append(main, empty(t("Nothing is known of its training.")));
}
