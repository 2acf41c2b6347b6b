// @ts-check
/** The door for who sends a picture: asks for a seat, waits in the queue; knows no connections. */

import { ApiError } from "./api.js";
import { visit } from "./memory.js";
import { pause } from "./pause.js";
import { WORDS } from "./words.js";

/** A place in the queue is lost where nobody asks for 15 s. */
const LONGEST_WAIT_S = 5;

/** @typedef {{controls?: object, size?: object, mirror: boolean, name?: string}} Wish */

export class Seats {
  /** @param {import("./api.js").Api} api @param {() => Wish} wish asked at every attempt */
  constructor(api, wish) {
    this.api = api;
    this.wish = wish;
    this.id = "";
    this.ticket = "";
    this.isPatient = false;
  }

  /** @param {AbortSignal} signal */
  async ice(signal) {
    return (await this.api.get("/v1/ice", signal)).iceServers;
  }

  /**
   * Ask for a seat until there is one.
   *
   * @param {string} sdp
   * @param {AbortSignal} signal
   * @param {import("./session.js").Tell} tell
   */
  async enter(sdp, signal, tell) {
    for (;;) {
      const resume = visit.read("resume") ?? undefined;
      const ticket = this.ticket || undefined;
      const asked = { sdp, type: "offer", ...this.wish(), resume, ticket };
      const answer = await this.api.post("/v1/sessions", asked, signal).catch((error) => {
        const isOld = error instanceof ApiError && !error.isPassing && error.status !== 409;
        if (isOld && (resume || ticket)) {
          this.forget(); // forgotten by the server: begin anew
          this.ticket = "";
          if (error.status !== 401) return null;
        }
        throw error;
      });
      if (!answer) continue;
      if (answer.status === 202) {
        await this.#wait(answer, signal, tell);
        continue;
      }
      this.ticket = "";
      this.id = answer.id;
      visit.write("resume", answer.resume);
      return answer;
    }
  }

  /** @param {unknown} error @returns {string} what is waited for; empty where it is for nothing */
  waits(error) {
    const isTaken = error instanceof ApiError && error.status === 409;
    return isTaken ? WORDS.nameTaken(this.wish().name ?? "") : "";
  }

  /** The connection is gone; the server keeps the seat for a while. */
  lose() {
    this.id = "";
  }

  /** Tell the server that nobody is here any more; also while the page goes away. */
  leave() {
    if (this.id) this.api.leave(`/v1/sessions/${this.id}`);
    if (this.ticket) this.api.leave(`/v1/queue/${this.ticket}`);
    this.id = this.ticket = "";
  }

  /** Begin the next time from nothing. */
  forget() {
    visit.write("resume", null);
  }

  /**
   * Stand in the queue until a seat is kept for this page.
   *
   * @param {{ticket: string, position: number, retry_s?: number}} given
   * @param {AbortSignal} signal
   * @param {import("./session.js").Tell} tell
   */
  async #wait({ ticket, position, retry_s }, signal, tell) {
    this.ticket = ticket;
    tell("waiting", WORDS.full(position), { position });
    for (;;) {
      await pause(1000 * Math.min(retry_s ?? 2, LONGEST_WAIT_S), signal);
      const place = await this.api.get(`/v1/queue/${ticket}`, signal).catch((error) => {
        if (error instanceof ApiError && error.status === 404) return null;
        throw error;
      });
      if (!place) return void (this.ticket = ""); // it went stale: the next request brings another
      if (place.ready) return tell("connecting", WORDS.seat);
      tell("waiting", WORDS.full(place.position), { position: place.position });
    }
  }
}
