// @ts-check
/** The sheet over the strip: the last minute of latency and frame rate, drawn and in words. */

import { button, element } from "./element.js";
import { PARTS } from "./meter.js";

const MINUTE_MS = 60_000;
/** Room for the figures at the left and under the plot. */
const LEFT_PX = 52;
const UNDER_PX = 20;
const TOP_PX = 8;

/** @type {Record<string, string>} */
const ABOUT = {
  network: "there and back, and the jitter buffer",
  queue: "waiting for the model",
  model: "drawing",
  encode: "packing the video, here and at the server",
  display: "unpacking it, and waiting for the screen",
};

export class Sheet {
  /** @param {HTMLElement} place @param {(isOpen: boolean) => void} told */
  constructor(place, told) {
    this.place = place;
    this.told = told;
    this.canvas = element("canvas", { "aria-hidden": "true" });
    this.values = PARTS.map(() => element("td", { class: "figure", text: "–" }));
    const rows = PARTS.map((part, index) =>
      element(
        "tr",
        {},
        element("th", { scope: "row" }, element("i", { class: `part ${part}` }), part),
        this.values[index],
        element("td", { class: "why", text: ABOUT[part] }),
      ),
    );
    const caption = element("caption", { class: "unseen", text: "Latency in milliseconds" });
    place.append(
      element(
        "div",
        { class: "sheet-head" },
        element("h2", { text: "The last minute" }),
        button({ icon: "close", label: "Close", class: "icon-button", press: () => this.close() }),
      ),
      element("div", { class: "plot" }, this.canvas),
      element("table", {}, caption, element("tbody", {}, ...rows)),
    );
    place.setAttribute("role", "region");
    place.setAttribute("aria-label", "The last minute");
  }

  get isOpen() {
    return !this.place.hidden;
  }

  toggle() {
    this.place.hidden = !this.place.hidden;
    this.told(this.isOpen);
  }

  close() {
    if (this.isOpen) this.toggle();
  }

  /** @param {import("./meter.js").Sample[]} samples */
  show(samples) {
    const last = samples.at(-1);
    if (!this.isOpen || !last) return;
    PARTS.forEach((part, index) => {
      this.values[index].textContent = `${Math.round(last.split[part])} ms`;
    });
    this.#draw(samples, last.t);
  }

  /** @param {import("./meter.js").Sample[]} samples @param {number} now */
  #draw(samples, now) {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const ratio = window.devicePixelRatio;
    Object.assign(this.canvas, { width: width * ratio, height: height * ratio });
    const pen = this.canvas.getContext("2d");
    pen.scale(ratio, ratio);
    const top = niceAbove(Math.max(...samples.map((one) => one.total), 20));
    const style = getComputedStyle(this.place);
    const x = (/** @type {number} */ t) => width - ((now - t) / MINUTE_MS) * (width - LEFT_PX);
    const y = (/** @type {number} */ ms) =>
      height - UNDER_PX - (ms / top) * (height - UNDER_PX - TOP_PX);
    grid({ pen, style, top, width, height, y });
    const below = samples.map(() => 0);
    for (const part of PARTS) {
      const above = samples.map((one, index) => below[index] + one.split[part]);
      pen.fillStyle = style.getPropertyValue(`--${part}`);
      band(pen, samples, { x, y, above, below });
      above.forEach((value, index) => (below[index] = value));
    }
  }
}

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {import("./meter.js").Sample[]} samples
 * @param {{x: (t: number) => number, y: (ms: number) => number, above: number[], below: number[]}} at
 */
function band(pen, samples, { x, y, above, below }) {
  pen.beginPath();
  samples.forEach((one, index) => pen.lineTo(x(one.t), y(above[index])));
  for (let index = samples.length - 1; index >= 0; index -= 1) {
    pen.lineTo(x(samples[index].t), y(below[index]));
  }
  pen.closePath();
  pen.fill();
}

/** @param {any} given pen, style, top, width, height, y */
function grid({ pen, style, top, width, height, y }) {
  pen.font = `11px ${style.fontFamily}`;
  pen.fillStyle = style.getPropertyValue("--quiet");
  pen.strokeStyle = style.getPropertyValue("--line");
  pen.textBaseline = "middle";
  for (const ms of [0, top / 2, top]) {
    const line = Math.round(y(ms)) + 0.5;
    pen.beginPath();
    pen.moveTo(LEFT_PX, line);
    pen.lineTo(width, line);
    pen.stroke();
    pen.textAlign = "right";
    pen.fillText(ms === top ? `${ms} ms` : String(ms), LEFT_PX - 6, Math.max(line, 6));
  }
  pen.textAlign = "left";
  pen.fillText("60 s ago", LEFT_PX, height - 6);
  pen.textAlign = "right";
  pen.fillText("now", width, height - 6);
}

/** @param {number} value @returns the next of 20, 50, 100, 200, … */
function niceAbove(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  const step = [1, 2, 5, 10].find((one) => one * power >= value) ?? 10;
  return step * power;
}
