// @ts-check
/** Saves what is on the stage: one picture, or a film of it; asks nobody else. */

import { element } from "./element.js";
import { WORDS } from "./words.js";

const TYPES = [
  "video/mp4;codecs=avc1.42E01F",
  "video/webm;codecs=vp9",
  "video/webm;codecs=vp8",
  "video/webm",
];
const BITS_PER_SECOND = 6_000_000;

/** Events: "tick" (detail: {isOn, time}) once a second while it records, "saved" (detail: name). */
export class Recorder extends EventTarget {
  /** @param {HTMLVideoElement} video */
  constructor(video) {
    super();
    this.video = video;
    /** @type {MediaRecorder | null} */
    this.recorder = null;
    this.timer = 0;
  }

  get isOn() {
    return this.recorder !== null;
  }

  /** @returns {string | null} why it does not begin, if it does not */
  toggle() {
    if (this.recorder) {
      this.recorder.stop();
      return null;
    }
    return this.#start();
  }

  /** @returns {string | null} why there is nothing to save, if so */
  snapshot() {
    const { videoWidth: width, videoHeight: height } = this.video;
    if (!width) return WORDS.nothingYet;
    const canvas = element("canvas", { width, height });
    canvas.getContext("2d").drawImage(this.video, 0, 0);
    canvas.toBlob((/** @type {Blob} */ blob) => this.#save(blob, "png"), "image/png");
    return null;
  }

  #start() {
    const stream = /** @type {MediaStream | null} */ (this.video.srcObject);
    if (!stream || !this.video.videoWidth) return WORDS.nothingYet;
    const mimeType = TYPES.find((type) => window.MediaRecorder?.isTypeSupported(type));
    if (!mimeType) return WORDS.noRecorder;
    const recorder = new MediaRecorder(stream, { mimeType, videoBitsPerSecond: BITS_PER_SECOND });
    /** @type {Blob[]} */
    const parts = [];
    recorder.addEventListener("dataavailable", ({ data }) => data.size && parts.push(data));
    recorder.addEventListener("stop", () => {
      clearInterval(this.timer);
      this.recorder = null;
      this.#tick(0);
      if (parts.length) this.#save(new Blob(parts, { type: mimeType }), mimeType.slice(6, 10));
    });
    recorder.start(1000);
    this.recorder = recorder;
    const begun = performance.now();
    this.#tick(0);
    this.timer = window.setInterval(() => this.#tick(performance.now() - begun), 500);
    return null;
  }

  /** @param {number} ms */
  #tick(ms) {
    const seconds = Math.floor(ms / 1000);
    const time = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
    this.dispatchEvent(new CustomEvent("tick", { detail: { isOn: this.isOn, time } }));
  }

  /** @param {Blob} blob @param {string} ending */
  #save(blob, ending) {
    const moment = new Date(Date.now() - new Date().getTimezoneOffset() * 60_000);
    const stamp = moment.toISOString().slice(0, 19).replace("T", "-").replaceAll(":", "");
    const name = `streamgen-${stamp}.${ending.replace(/;$/, "")}`;
    const url = URL.createObjectURL(blob);
    element("a", { href: url, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
    this.dispatchEvent(new CustomEvent("saved", { detail: name }));
  }
}
