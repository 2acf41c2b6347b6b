// @ts-check
/** A connection to the server, made, kept and given back; knows no elements. */

import { ApiError } from "./api.js";
import { Messages } from "./messages.js";
import { backoff, pause } from "./pause.js";
import { Peer } from "./peer.js";
import { WORDS } from "./words.js";

const SILENCE_MS = 7000;
/** How often something is asked for that is not there yet, and may be any time. */
const PATIENCE_MS = [4000];
const FIRST_PICTURE = new Set(["connecting", "waiting", "warming", "lost"]);

/**
 * @typedef {"idle" | "connecting" | "waiting" | "warming" | "live" | "lost" | "ended"} State
 * @typedef {(state: State, says: string, more?: object) => void} Tell
 *
 * @typedef {object} Door by which a page comes in: to be drawn, or to watch
 * @property {string} id of the place that the server gave, or empty
 * @property {boolean} isPatient whether an end is waited out
 * @property {(signal: AbortSignal) => Promise<RTCIceServer[]>} ice
 * @property {(sdp: string, signal: AbortSignal, tell: Tell) => Promise<any>} enter
 * @property {(error: unknown) => string} waits what is said while the reason of a refusal passes
 * @property {() => void} lose
 * @property {() => void} leave
 * @property {() => void} forget
 */

/**
 * Events: "state" (detail: {state, says, position, status}), "opened" (the server's answer),
 * "ready" (messages can be sent), "stream" (MediaStream). What the server says later comes from `messages`.
 */
export class Session extends EventTarget {
  /** @param {Door} door */
  constructor(door) {
    super();
    this.door = door;
    this.messages = new Messages(() => performance.now());
    /** @type {State} */
    this.state = "idle";
    /** @type {Peer | null} */
    this.peer = null;
    /** @type {MediaStreamTrack | null} */
    this.track = null;
    this.attempts = 0;
    this.hasLived = false;
    this.abort = new AbortController();
    this.messages.addEventListener("pong", () => (this.attempts = 0));
    this.messages.addEventListener("closed", (event) => this.#end(event));
    setInterval(() => this.#listen(), 1000);
    window.addEventListener("online", () => this.state === "lost" && this.#connect());
  }

  /** @param {MediaStreamTrack | null} track null: nothing is sent */
  start(track) {
    this.track = track;
    this.attempts = 0;
    this.hasLived = false;
    this.#set("connecting", WORDS.connecting);
    return this.#connect();
  }

  /**
   * Send another picture. Opens the seat anew where the server must treat it otherwise.
   *
   * @param {MediaStreamTrack} track
   * @param {boolean} mustReopen
   */
  async replace(track, mustReopen) {
    this.track = track;
    if (mustReopen || !this.peer || this.peer.isClosed) return this.start(track);
    await this.peer.replace(track);
  }

  /** Give the place back; the page may start again. */
  stop() {
    if (this.track) this.messages.bye();
    this.#drop();
    this.leave();
    this.door.forget();
    this.#set("idle", "");
  }

  /** Tell the server that nobody is here any more; also while the page goes away. */
  leave() {
    this.door.leave();
  }

  /** Forget what was, and begin again from nothing. */
  restart() {
    this.door.forget();
    this.start(this.track);
  }

  /** The first picture came. */
  arrive() {
    this.hasLived = true;
    this.attempts = 0;
    if (FIRST_PICTURE.has(this.state)) this.#set("live", "");
  }

  /** Somebody heard that what is watched has ended, before the connection says so. */
  miss() {
    this.#lose(WORDS.lost);
  }

  async #connect() {
    this.#drop();
    const { signal } = this.abort;
    const { door } = this;
    try {
      const peer = new Peer(await door.ice(signal), this.track);
      if (signal.aborted) return peer.close();
      this.peer = peer;
      peer.addEventListener("lost", () => peer === this.peer && this.#lose(WORDS.lost));
      peer.addEventListener("open", () => {
        this.messages.attach(peer);
        this.dispatchEvent(new CustomEvent("ready"));
      });
      peer.addEventListener("stream", (event) => {
        this.dispatchEvent(new CustomEvent("stream", { detail: /** @type {any} */ (event).detail }));
      });
      const tell = /** @type {Tell} */ ((...said) => this.#set(...said));
      const answer = await door.enter(await peer.offer(), signal, tell);
      if (signal.aborted) return;
      peer.mustTalk = answer.may_control ?? true;
      this.#set("warming", WORDS.starting);
      this.dispatchEvent(new CustomEvent("opened", { detail: answer }));
      await peer.accept(answer.sdp);
    } catch (error) {
      if (!signal.aborted) this.#fail(error);
    }
  }

  /** @param {any} error */
  #fail(error) {
    const waits = this.door.waits(error);
    if (waits) {
      this.#again("waiting", waits, backoff(0, PATIENCE_MS));
    } else if (error instanceof ApiError && error.isPassing) {
      const isSilent = error.status === 0;
      const says = isSilent ? WORDS.waitingAgain : error.says;
      this.#lose(isSilent && this.hasLived ? WORDS.lost : says);
    } else {
      this.#drop();
      this.#set("ended", error.says ?? String(error.message), { status: error.status ?? 0 });
    }
  }

  /** @param {string} says */
  #lose(says) {
    this.door.lose();
    this.#again("lost", navigator.onLine ? says : WORDS.offline, backoff(this.attempts));
    this.attempts += 1;
  }

  /** @param {State} state until the next attempt @param {string} says @param {number} wait_ms */
  #again(state, says, wait_ms) {
    this.#drop();
    this.#set(state, says);
    pause(wait_ms, this.abort.signal).then(
      () => this.#connect(),
      () => {},
    );
  }

  /** @param {Event} event */
  #end(event) {
    const { says = WORDS.closed } = /** @type {CustomEvent} */ (event).detail;
    this.door.id = ""; // there is nothing left to give back
    if (this.door.isPatient) return this.#lose(says);
    this.#drop();
    this.#set("ended", says);
  }

  #listen() {
    if (this.messages.silence_ms > SILENCE_MS) this.#lose(WORDS.lost);
  }

  /** Let go of the connection and of whatever is being waited for. */
  #drop() {
    this.abort.abort();
    this.abort = new AbortController();
    this.messages.detach();
    this.peer?.close();
    this.peer = null;
  }

  /** @param {State} state @param {string} says @param {object} [more] */
  #set(state, says, more = {}) {
    this.state = state;
    this.dispatchEvent(new CustomEvent("state", { detail: { state, says, ...more } }));
  }
}
