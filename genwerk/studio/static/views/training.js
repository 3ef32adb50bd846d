// @ts-check
// A training as it goes on: curves, newest samples, time left, stop and resume.

import { address, begin, get, listen, post, Refused } from "../api.js";
import { append, fill, h, icon } from "../dom.js";
import { t } from "../i18n.js";
import { note, whenLeft } from "../pages.js";
import { badge, complain, empty, going, picture, problem } from "../parts.js";
import { board, Training } from "../curves.js";
import { file } from "../results.js";

const KINDS = /** @type {Record<string, string>} */ ({ png: "image", jpg: "image", webp: "image", gif: "image", wav: "sound", flac: "sound", ogg: "sound", txt: "text", csv: "table", tsv: "table" });

/**
 * Follow the training of a run in `box`; what is returned ends that.
 * @param {HTMLElement} box @param {string} run @param {boolean} [controls]
 * @param {(state: string) => void} [on]  is told how the training stands
 * @param {HTMLElement} [head]  where that is said; above the curves without it
 */
export function live(box, run, controls = true, on, head) {
  const state = head ?? h("div", { class: "row between" });
  const samples = h("div", { class: "samples" });
  const said = h("div", {});
  let training = new Training();
  let curves = board(training);
  const place = h("div", {}, curves.element);
  fill(box, head ? null : state, said, h("div", { class: "live" }, place, h("section", { "aria-label": t("Samples") }, samples)));
  let newest = "";
  /** What was just asked for, until the server says so too. */
  let asked = "";
  /** @type {() => void} */
  let end = () => {};
  const anew = () => {
    training = new Training();
    curves = board(training);
    fill(place, curves.element);
  };
  const listenAgain = () => {
    end();
    anew();
    let ended = false;
    end = listen("/api/events", { run, after: 0 }, {
      again: anew,
      message: (event) => {
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
  /** @param {string} stands @param {import("../dom.js").Child[]} more */
  const say = (stands, ...more) => fill(state, h("div", { class: "row" }, badge(stands), more[0]), more[1]);
  const tell = async () => {
    if (!controls) return;
    const [jobs, now] = await Promise.all([get("/api/jobs").catch(() => []), get("/api/state", { run }).catch((error) => error)]);
    if (now instanceof Refused && now.status === 400) return gone(now.message);
    const job = /** @type {import("../types.js").Job|undefined} */ (jobs.find((/** @type {any} */ each) => each.training && each.run === run));
    const own = job !== undefined && going(job.state);
    const elsewhere = !own && now?.state === "going on";
    if (asked === "stopping" && !own && !elsewhere) asked = "";
    const stands = asked || (own ? (job.state === "running" ? "going on" : job.state) : elsewhere ? "going on" : training.ended || now?.state || "stopped");
    on?.(stands);
    fill(said, !own && job?.state === "failed" && job.error ? problem(job.error) : null);
    const hint = stands === "stopping" ? t("The round being played is finished and saved first.")
      : own && job.place ? t("place {n} in the queue", { n: job.place }) : elsewhere ? t("trained by another process") : "";
    const button = (own || now?.held) && (own || elsewhere) && stands !== "stopping" ? h("button", { type: "button", onclick: stop }, icon("stop"), stands === "measuring" ? t("Stop measuring") : t("Stop"))
      : stands === "stopped" && training.round > 0 ? h("button", { type: "button", class: "main", onclick: resume }, icon("play"), t("Resume")) : null;
    say(head && stands === "finished" && !own && job?.state === "failed" ? "failed" : stands, hint ? h("span", { class: "hint" }, hint) : null, button);
    if ((own || elsewhere) && over()) over = listenAgain();
  };
  /** The run was moved or deleted: nothing more is asked of it. @param {string} why */
  const gone = (why) => {
    leave();
    fill(state);
    if (!head) return; // the page of a run says so itself
    on?.("gone");
    fill(said, problem(why));
  };
  /** Show at once what was asked for, and ask for it.
   * @param {string} what @param {() => Promise<any>} how */
  const ask = async (what, how) => {
    asked = what;
    say(what);
    on?.(what);
    try {
      await how();
    } catch (error) {
      asked = "";
      complain(error);
    }
    if (what === "starting") asked = "";
    await tell();
  };
  const stop = () => ask("stopping", () => post("/api/stop", { run }));
  const resume = () => ask("starting", async () => {
    const { recipe } = await get("/api/run", { run });
    note({ job: await begin("train", run, { recipe, out: run, resume: true }) });
  });
  const timer = controls ? setInterval(tell, 3000) : undefined;
  const leave = () => {
    clearInterval(timer);
    end();
  };
  whenLeft(leave);
  if (controls) setTimeout(tell, 600);
  return leave;
}

/** @param {HTMLElement} main @param {import("../types.js").Run} run @param {(state: string) => void} on */
export function show(main, run, on) {
  const box = h("div", {});
  append(main, box);
  live(box, run.run, true, on);
  if (!run.state) append(main, empty(t("Nothing is known of its training.")));
}
