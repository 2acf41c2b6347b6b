// @ts-check
/** A seat at the server, asked for, kept and given back; knows no elements. */

import { ApiError } from "./api.js";
import { visit } from "./memory.js";
import { Messages } from "./messages.js";
import { Peer } from "./peer.js";
import { WORDS } from "./words.js";

/** A place in the queue is lost where nobody asks for 15 s. */
const LONGEST_WAIT_S = 5;
const SILENCE_MS = 7000;
const BACKOFF_MS = [300, 1000, 2000, 4000, 8000];
const FIRST_PICTURE = new Set(["connecting", "waiting", "warming", "lost"]);

/**
 * @typedef {"idle" | "connecting" | "waiting" | "warming" | "live" | "lost" | "ended"} State
 * @typedef {{controls?: object, size?: object, mirror: boolean}} Wish
 */

/**
 * Events: "state" (detail: {state, says, position, status}), "opened" (the server's answer),
 * "ready" (messages can be sent), "stream" (MediaStream). What the server says later comes from `messages`.
 */
export class Session extends EventTarget {
  /** @param {import("./api.js").Api} api @param {() => Wish} wish asked at every attempt */
  constructor(api, wish) {
    super();
    this.api = api;
    this.wish = wish;
    this.messages = new Messages(() => performance.now());
    /** @type {State} */
    this.state = "idle";
    this.id = "";
    this.ticket = "";
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

  /** @param {MediaStreamTrack} track */
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

  /** Give the seat back; the page may start again. */
  stop() {
    this.messages.bye();
    this.#drop();
    this.leave();
    visit.write("resume", null);
    this.#set("idle", "");
  }

  /** Tell the server that nobody is here any more; also while the page goes away. */
  leave() {
    if (this.id) this.api.leave(`/v1/sessions/${this.id}`);
    if (this.ticket) this.api.leave(`/v1/queue/${this.ticket}`);
    this.id = this.ticket = "";
  }

  /** Forget what was, and begin again from nothing. */
  restart() {
    visit.write("resume", null);
    if (this.track) this.start(this.track);
  }

  /** The first picture came. */
  arrive() {
    this.hasLived = true;
    if (FIRST_PICTURE.has(this.state)) this.#set("live", "");
  }

  async #connect() {
    this.#drop();
    const { signal } = this.abort;
    try {
      const ice = await this.api.get("/v1/ice", signal);
      const peer = new Peer(ice.iceServers, /** @type {MediaStreamTrack} */ (this.track));
      this.peer = peer;
      peer.addEventListener("lost", () => peer === this.peer && this.#lose(WORDS.lost));
      peer.addEventListener("open", () => {
        this.messages.attach(peer);
        this.dispatchEvent(new CustomEvent("ready"));
      });
      peer.addEventListener("stream", (event) => {
        this.dispatchEvent(new CustomEvent("stream", { detail: /** @type {any} */ (event).detail }));
      });
      const answer = await this.#seat(await peer.offer(), signal);
      if (signal.aborted) return;
      this.#set("warming", WORDS.starting);
      this.dispatchEvent(new CustomEvent("opened", { detail: answer }));
      await peer.accept(answer.sdp);
    } catch (error) {
      if (!signal.aborted) this.#fail(error);
    }
  }

  /**
   * Ask for a seat until there is one.
   *
   * @param {string} sdp
   * @param {AbortSignal} signal
   */
  async #seat(sdp, signal) {
    for (;;) {
      const resume = visit.read("resume") ?? undefined;
      const ticket = this.ticket || undefined;
      const asked = { sdp, type: "offer", ...this.wish(), resume, ticket };
      const answer = await this.api.post("/v1/sessions", asked, signal).catch((error) => {
        if (error instanceof ApiError && !error.isPassing && (resume || ticket)) {
          visit.write("resume", null); // forgotten by the server: begin anew
          this.ticket = "";
          if (error.status !== 401) return null;
        }
        throw error;
      });
      if (!answer) continue;
      if (answer.status === 202) {
        await this.#wait(answer, signal);
        continue;
      }
      this.ticket = "";
      this.id = answer.id;
      visit.write("resume", answer.resume);
      return answer;
    }
  }

  /**
   * Stand in the queue until a seat is kept for this page.
   *
   * @param {{ticket: string, position: number, retry_s?: number}} given
   * @param {AbortSignal} signal
   */
  async #wait({ ticket, position, retry_s }, signal) {
    this.ticket = ticket;
    this.#set("waiting", WORDS.full(position), { position });
    for (;;) {
      await pause(1000 * Math.min(retry_s ?? 2, LONGEST_WAIT_S), signal);
      const place = await this.api.get(`/v1/queue/${ticket}`, signal).catch((error) => {
        if (error instanceof ApiError && error.status === 404) return null;
        throw error;
      });
      if (!place) return void (this.ticket = ""); // it went stale: the next request brings another
      if (place.ready) return this.#set("connecting", WORDS.seat);
      this.#set("waiting", WORDS.full(place.position), { position: place.position });
    }
  }

  /** @param {any} error */
  #fail(error) {
    if (error instanceof ApiError && error.isPassing) {
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
    this.#drop();
    this.id = "";
    this.#set("lost", navigator.onLine ? says : WORDS.offline);
    const step = BACKOFF_MS[Math.min(this.attempts, BACKOFF_MS.length - 1)];
    this.attempts += 1;
    const { signal } = this.abort;
    pause(step * (0.8 + 0.4 * Math.random()), signal).then(
      () => this.#connect(),
      () => {},
    );
  }

  /** @param {Event} event */
  #end(event) {
    const { says } = /** @type {CustomEvent} */ (event).detail;
    this.#drop();
    this.id = "";
    this.#set("ended", says ?? WORDS.closed);
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

/** @param {number} ms @param {AbortSignal} signal */
function pause(ms, signal) {
  return new Promise((done, stopped) => {
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      stopped(new DOMException("no longer wanted", "AbortError"));
    });
  });
}
