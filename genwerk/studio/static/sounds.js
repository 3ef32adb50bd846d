// @ts-check
// Sounds: a player below the waveform, which is also where one points to hear from.

import { h } from "./dom.js";
import { t } from "./i18n.js";

/** @param {string} url @param {string} name */
export function player(url, name) {
  const audio = h("audio", { controls: true, src: url, preload: "metadata", "aria-label": name });
  const wave = h("canvas", { class: "wave", width: 640, height: 96, role: "img", "aria-label": t("Waveform of {name}", { name }),
    onclick: (/** @type {MouseEvent} */ event) => {
      if (!Number.isFinite(audio.duration)) return;
      audio.currentTime = (event.offsetX / wave.clientWidth) * audio.duration;
      audio.play();
    } });
  /** @type {number[]} */
  let peaks = [];
  const draw = () => {
    const pen = wave.getContext("2d");
    if (!pen) return;
    const style = getComputedStyle(wave);
    const done = Number.isFinite(audio.duration) && audio.duration > 0 ? audio.currentTime / audio.duration : 0;
    pen.clearRect(0, 0, wave.width, wave.height);
    peaks.forEach((peak, i) => {
      pen.fillStyle = style.getPropertyValue(i / peaks.length < done ? "--accent" : "--soft");
      const size = Math.max(1, peak * wave.height);
      pen.fillRect(i * 4, (wave.height - size) / 2, 3, size);
    });
  };
  audio.addEventListener("timeupdate", draw);
  waveform(url, wave.width / 4).then((found) => { peaks = found; draw(); }, () => wave.remove());
  return h("div", { class: "sound" }, wave, audio);
}

/** The greatest amplitude in each of `parts` equal pieces.
 * @param {string} url @param {number} parts */
async function waveform(url, parts) {
  const within = url.match(/^data:[^,]*;base64,(.*)$/)?.[1];
  const data = within ? Uint8Array.from(atob(within), (sign) => sign.charCodeAt(0)).buffer : await (await fetch(url)).arrayBuffer();
  const samples = (await new OfflineAudioContext(1, 1, 44100).decodeAudioData(data)).getChannelData(0);
  const size = Math.max(1, Math.floor(samples.length / parts));
  return Array.from({ length: parts }, (_, i) => samples.subarray(i * size, (i + 1) * size).reduce((most, x) => Math.max(most, Math.abs(x)), 0));
}
