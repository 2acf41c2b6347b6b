// @ts-check
/** The recording that the server makes of a stream: asked for, followed, ended; knows no elements. */

import { ApiError } from "./api.js";
import { WORDS } from "./words.js";

const EVERY_MS = 1000;
const OFF = { state: "ended", seconds: 0, file: null, why_ended: "" };

/** Event "change" when `facts` or `says` have changed. */
export class Tape extends EventTarget {
  /** @param {import("./api.js").Api} api */
  constructor(api) {
    super();
    this.api = api;
    this.name = "";
    this.facts = OFF;
    this.says = WORDS.tapeOff;
    this.isAsking = false;
    setInterval(() => this.isOn && this.#ask("get"), EVERY_MS);
  }

  get isOn() {
    return this.facts.state !== "ended";
  }

  /** How long it is, as a clock shows it. */
  get time() {
    const seconds = Math.floor(this.facts.seconds);
    return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
  }

  /** @param {string} name of the stream */
  of(name) {
    if (name === this.name) return;
    this.name = name;
    this.#take(OFF);
  }

  toggle() {
    return this.#ask(this.isOn ? "delete" : "post");
  }

  /** @param {boolean} isRecording as the stream's status says: somebody else may have begun it */
  hear(isRecording) {
    if (isRecording && !this.isOn) this.#ask("get");
  }

  /** @param {"get" | "post" | "delete"} way */
  async #ask(way) {
    if (this.isAsking) return;
    this.isAsking = true;
    const { name } = this;
    const path = `/v1/streams/${encodeURIComponent(name)}/recording`;
    try {
      const facts = await (way === "post" ? this.api.post(path, {}) : this.api[way](path));
      if (name === this.name) this.#take(facts);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      // What passes is asked again; a stream that is gone is not recorded any more.
      if (!error.isPassing || !this.isOn) this.#take({ ...OFF, why_ended: error.says });
    } finally {
      this.isAsking = false;
    }
  }

  /** @param {any} facts as the server gives them */
  #take(facts) {
    const was = this.isOn;
    this.facts = facts;
    const kept = facts.file && was ? WORDS.taped(facts.file) : WORDS.tapeOff;
    this.says = this.isOn ? WORDS.taping(this.time) : facts.why_ended || kept;
    this.dispatchEvent(new CustomEvent("change"));
  }
}
