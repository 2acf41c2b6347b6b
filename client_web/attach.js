// @ts-check
/** The door for who watches a stream that runs already, and may steer it; knows no connections. */

import { ApiError } from "./api.js";
import { WORDS } from "./words.js";

export class Guest {
  /** @param {import("./api.js").Api} api @param {string} name of the stream */
  constructor(api, name) {
    this.api = api;
    this.name = name;
    this.path = `/v1/streams/${encodeURIComponent(name)}`;
    this.id = "";
    /** Streams end and come back under their name: whoever watches waits for that. */
    this.isPatient = true;
  }

  /** @param {AbortSignal} signal */
  async ice(signal) {
    return (await this.api.get("/v1/ice", signal)).iceServers ?? [];
  }

  /** @param {string} sdp @param {AbortSignal} signal */
  async enter(sdp, signal) {
    const answer = await this.api.post(`${this.path}/guests`, { sdp, type: "offer" }, signal);
    this.id = answer.id;
    return answer;
  }

  /** @param {unknown} error @returns {string} what is waited for; empty where it is for nothing */
  waits(error) {
    const isEarly = error instanceof ApiError && [404, 409].includes(error.status);
    return isEarly ? WORDS.notRunning(this.name) : "";
  }

  lose() {
    this.leave();
  }

  /** Give the place of a guest back; also while the page goes away. */
  leave() {
    if (this.id) this.api.leave(`${this.path}/guests/${this.id}`);
    this.id = "";
  }

  forget() {}
}
