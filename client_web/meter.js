// @ts-check
/** Measures what arrives: frames a second, and where the milliseconds go; knows no elements. */

const EVERY_MS = 500;
const KEPT_MS = 60_000;
/** How much a new value counts beside the ones before. */
const NEW = 0.3;

/**
 * Parts of the latency, in the order in which a picture goes through them.
 * encode: browser and server. network: round trip of the data channel and jitter buffer.
 * display: decoding, and waiting for the screen.
 *
 * @type {["network", "queue", "model", "encode", "display"]}
 */
export const PARTS = ["network", "queue", "model", "encode", "display"];

/**
 * @typedef {Record<typeof PARTS[number], number>} Split milliseconds
 * @typedef {{t: number, fps: number, split: Split, total: number, loss: number, rtt: number}} Sample
 */

/** Event "sample" (detail: Sample), twice a second while something arrives. */
export class Meter extends EventTarget {
  /** @param {HTMLVideoElement} video @param {import("./messages.js").Messages} messages */
  constructor(video, messages) {
    super();
    this.video = video;
    /** @type {Sample[]} */
    this.samples = [];
    /** @type {RTCPeerConnection | null} */
    this.connection = null;
    this.timer = 0;
    /** Means by name, of what is given in milliseconds. @type {Record<string, number>} */
    this.mean = {};
    /** Sums of the report before. @type {Record<string, number>} */
    this.before = {};
    this.frames = 0;
    this.since_ms = performance.now();
    messages.addEventListener("pong", (event) => this.#learn("rtt", detail(event).rtt_ms));
    messages.addEventListener("frame", (event) => this.#stages(detail(event)));
    messages.addEventListener("status", (event) => this.#stages(detail(event).stages_ms ?? {}));
    this.#watch();
  }

  reset() {
    this.mean = {};
    this.before = {};
    this.frames = 0;
    this.since_ms = performance.now();
  }

  /** @param {RTCPeerConnection | null} connection */
  attach(connection) {
    this.reset();
    this.connection = connection;
    clearInterval(this.timer);
    if (connection) this.timer = window.setInterval(() => this.#measure(), EVERY_MS);
  }

  /** Count what is presented, and how long it waited since its last packet came. */
  #watch() {
    if (!this.video.requestVideoFrameCallback) return;
    this.video.requestVideoFrameCallback((_, /** @type {any} */ about) => {
      this.frames += 1;
      if (about.receiveTime) {
        this.#learn("presentation", about.expectedDisplayTime - about.receiveTime);
      }
      this.#watch();
    });
  }

  /** @param {Record<string, number>} told */
  #stages(told) {
    for (const part of ["queue", "model", "encode"]) {
      const value = told[`${part}_ms`] ?? told[part];
      if (Number.isFinite(value)) this.#learn(part, value);
    }
  }

  /** @param {string} name @param {number} value */
  #learn(name, value) {
    if (!Number.isFinite(value) || value < 0) return;
    const before = this.mean[name];
    this.mean[name] = before === undefined ? value : before + NEW * (value - before);
  }

  async #measure() {
    const { connection } = this;
    if (!connection || connection.connectionState !== "connected") return;
    const report = await connection.getStats();
    if (connection !== this.connection) return;
    const loss = this.#read(report);
    const now_ms = performance.now();
    const fps = (1000 * this.frames) / (now_ms - this.since_ms);
    this.#learn("fps", fps);
    this.frames = 0;
    this.since_ms = now_ms;
    this.#tell(now_ms, loss);
  }

  /** @param {RTCStatsReport} report @returns {number} share of packets lost since the last report */
  #read(report) {
    let loss = 0;
    report.forEach((one) => {
      if (one.type === "inbound-rtp" && one.kind === "video") {
        this.#learn("jitter", this.#ratio("jitterBufferDelay", "jitterBufferEmittedCount", one));
        this.#learn("decode", this.#ratio("totalDecodeTime", "framesDecoded", one));
        const lost = this.#rise("packetsLost", one);
        loss = lost / Math.max(1, lost + this.#rise("packetsReceived", one));
      }
      if (one.type === "outbound-rtp" && one.kind === "video") {
        this.#learn("sending", this.#ratio("totalEncodeTime", "framesEncoded", one));
      }
    });
    return loss;
  }

  /** @param {string} sum seconds @param {string} count @param {any} one @returns milliseconds each */
  #ratio(sum, count, one) {
    const [seconds, times] = [this.#rise(sum, one), this.#rise(count, one)];
    return times > 0 ? (1000 * seconds) / times : NaN;
  }

  /** @param {string} name @param {any} one */
  #rise(name, one) {
    const value = one[name] ?? 0;
    const rise = value - (this.before[name] ?? 0);
    this.before[name] = value;
    return rise;
  }

  /** @param {number} t @param {number} loss */
  #tell(t, loss) {
    const { rtt = 0, jitter = 0, decode = 0, sending = 0, fps = 0, presentation } = this.mean;
    const { queue = 0, model = 0, encode = 0 } = this.mean;
    // From packet to screen are the jitter buffer, the decoder and the wait for the screen.
    const display = presentation === undefined ? decode : Math.max(decode, presentation - jitter);
    const split = { network: rtt + jitter, queue, model, encode: encode + sending, display };
    const total = PARTS.reduce((sum, part) => sum + split[part], 0);
    const sample = { t, fps, split, total, loss, rtt };
    this.samples = [...this.samples.filter((one) => t - one.t < KEPT_MS), sample];
    this.dispatchEvent(new CustomEvent("sample", { detail: sample }));
  }
}

/** @param {Event} event */
function detail(event) {
  return /** @type {CustomEvent} */ (event).detail;
}
