// @ts-check
// Sounds: a player below the waveform and the spectrogram, which are also where one points to hear from.

import { h } from "./dom.js";
import { number, t } from "./i18n.js";

/** Samples of a window of the spectrogram, and windows that are drawn. */
const WINDOW = 512, COLUMNS = 320;
/** Decibels below the loudest that are still told apart. */
const RANGE = 80;

/** @param {string} url @param {string} name */
export function player(url, name) {
  const audio = h("audio", { controls: true, src: url, preload: "metadata", "aria-label": name });
  const hear = (/** @type {MouseEvent} */ event) => {
    if (!Number.isFinite(audio.duration)) return;
    audio.currentTime = (event.offsetX / /** @type {HTMLElement} */ (event.target).clientWidth) * audio.duration;
    audio.play();
  };
  const wave = h("canvas", { class: "wave", width: 640, height: 96, role: "img", "aria-label": t("Waveform of {name}", { name }), onclick: hear });
  const spectrum = h("canvas", { class: "spectrum", width: COLUMNS, height: WINDOW / 4, role: "img", "aria-label": t("Spectrogram of {name}", { name }), onclick: hear });
  const cursor = h("span", { class: "cursor", "aria-hidden": "true" });
  const scale = h("p", { class: "hint" });
  /** @type {number[]} */
  let peaks = [];
  const done = () => (Number.isFinite(audio.duration) && audio.duration > 0 ? audio.currentTime / audio.duration : 0);
  const draw = () => {
    const pen = wave.getContext("2d");
    if (!pen) return;
    const style = getComputedStyle(wave);
    cursor.style.left = `${100 * done()}%`;
    pen.clearRect(0, 0, wave.width, wave.height);
    peaks.forEach((peak, i) => {
      pen.fillStyle = style.getPropertyValue(i / peaks.length < done() ? "--accent" : "--soft");
      const size = Math.max(1, peak * wave.height);
      pen.fillRect(i * 4, (wave.height - size) / 2, 3, size);
    });
  };
  audio.addEventListener("timeupdate", draw);
  decoded(url).then(({ samples, rate }) => {
    peaks = peaked(samples, wave.width / 4);
    draw();
    paint(spectrum, spectrogram(samples));
    scale.textContent = t("Up to {hertz} Hz, {seconds} s", { hertz: number(rate / 2), seconds: number(samples.length / rate, { maximumSignificantDigits: 3 }) });
  }, () => { wave.remove(); spectrum.parentElement?.remove(); });
  return h("div", { class: "sound" }, wave, h("div", { class: "spectrum-box" }, spectrum, cursor), scale, audio);
}

/** The first channel of a sound, at the rate that its file has where that is said.
 * @param {string} url */
async function decoded(url) {
  const within = url.match(/^data:[^,]*;base64,(.*)$/)?.[1];
  const data = within ? Uint8Array.from(atob(within), (sign) => sign.charCodeAt(0)).buffer : await (await fetch(url)).arrayBuffer();
  const view = new DataView(data);
  const wave = data.byteLength > 28 && view.getUint32(0) === 0x52494646;  // "RIFF": its rate stands at byte 24
  const rate = wave ? Math.min(192_000, Math.max(3_000, view.getUint32(24, true))) : 44_100;
  return { rate, samples: (await new OfflineAudioContext(1, 1, rate).decodeAudioData(data)).getChannelData(0) };
}

/** The greatest amplitude in each of `parts` equal pieces.
 * @param {Float32Array} samples @param {number} parts */
function peaked(samples, parts) {
  const size = Math.max(1, Math.floor(samples.length / parts));
  return Array.from({ length: parts }, (_, i) => samples.subarray(i * size, (i + 1) * size).reduce((most, x) => Math.max(most, Math.abs(x)), 0));
}

/**
 * Decibels by window and frequency, below the loudest: Hann windows, evenly over the sound.
 * @param {Float32Array} samples
 * @returns {Float32Array[]}
 */
export function spectrogram(samples) {
  const windows = Math.min(COLUMNS, Math.max(1, Math.ceil(samples.length / (WINDOW / 4))));
  const step = windows > 1 ? (samples.length - WINDOW) / (windows - 1) : 0;
  let loudest = 1e-12;
  const powers = Array.from({ length: windows }, (_, i) => {
    const start = Math.max(0, Math.round(i * step));
    const [real, imaginary] = [new Float64Array(WINDOW), new Float64Array(WINDOW)];
    for (let j = 0; j < WINDOW; j++) real[j] = (samples[start + j] ?? 0) * (0.5 - 0.5 * Math.cos((2 * Math.PI * j) / WINDOW));
    transform(real, imaginary);
    const power = new Float32Array(WINDOW / 2);
    for (let k = 0; k < WINDOW / 2; k++) {
      power[k] = (real[k] ?? 0) ** 2 + (imaginary[k] ?? 0) ** 2;
      loudest = Math.max(loudest, power[k] ?? 0);
    }
    return power;
  });
  return powers.map((power) => power.map((value) => Math.max(-RANGE, 10 * Math.log10(value / loudest + 1e-12))));
}

/** The discrete Fourier transform in place, of a power of two numbers.
 * @param {Float64Array} real @param {Float64Array} imaginary */
function transform(real, imaginary) {
  const n = real.length;
  for (let i = 1, j = 0; i < n; i++) {
    let bit = n >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) [real[i], real[j], imaginary[i], imaginary[j]] = [real[j] ?? 0, real[i] ?? 0, imaginary[j] ?? 0, imaginary[i] ?? 0];
  }
  for (let size = 2; size <= n; size *= 2) {
    const angle = (-2 * Math.PI) / size;
    for (let start = 0; start < n; start += size) for (let k = 0; k < size / 2; k++) {
      const [a, b] = [start + k, start + k + size / 2];
      const [c, s] = [Math.cos(angle * k), Math.sin(angle * k)];
      const [re, im] = [(real[b] ?? 0) * c - (imaginary[b] ?? 0) * s, (real[b] ?? 0) * s + (imaginary[b] ?? 0) * c];
      real[b] = (real[a] ?? 0) - re;
      imaginary[b] = (imaginary[a] ?? 0) - im;
      real[a] = (real[a] ?? 0) + re;
      imaginary[a] = (imaginary[a] ?? 0) + im;
    }
  }
}

/** @param {HTMLCanvasElement} canvas @param {Float32Array[]} levels */
function paint(canvas, levels) {
  const pen = canvas.getContext("2d");
  if (!pen) return;
  canvas.width = levels.length;
  const image = pen.createImageData(levels.length, canvas.height);
  const rows = WINDOW / 2 / canvas.height;
  levels.forEach((level, x) => {
    for (let y = 0; y < canvas.height; y++) {
      let most = -RANGE;
      for (let k = 0; k < rows; k++) most = Math.max(most, level[y * rows + k] ?? -RANGE);
      const share = 1 + most / RANGE, place = 4 * ((canvas.height - 1 - y) * levels.length + x);
      image.data.set([255 * share ** 0.9, 230 * share ** 2.2, 90 + 120 * Math.sin(Math.PI * share), 255], place);
    }
  });
  pen.putImageData(image, 0, 0);
}
