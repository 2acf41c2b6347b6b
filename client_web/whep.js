// @ts-check
/**
 * Watching by WHEP (draft-ietf-wish-whep): one offer, one answer, and again for ever when it is lost.
 *
 * Addresses are not waited for: the offer goes out at once, and they follow in PATCHes.
 */

import { backoff, pause } from "./pause.js";
import { playAtOnce } from "./peer.js";
import { WORDS } from "./words.js";

const BACKOFF_MS = [1000, 2000, 4000, 8000, 10_000];
/** A picture that stands still is sent again every second: without any, nobody is there. */
const SILENCE_MS = 3500;
const LOOK_MS = 1000;
const DISCONNECTED_MS = 3000;
/** For an answer, and then for a connection. */
const PATIENCE_MS = 15_000;
/** Addresses of the same moment go together. */
const GATHERED_MS = 30;

/** Events: "state" (detail: {state, says}; connecting, live, lost, idle), "stream" (MediaStream). */
export class Whep extends EventTarget {
  /** @param {string} url of the endpoint @param {string | null} token */
  constructor(url, token) {
    super();
    this.url = url;
    this.token = token;
    this.attempts = 0;
    this.abort = new AbortController();
    /** @type {RTCPeerConnection | null} */
    this.connection = null;
    /** Of the session at the server. @type {{at: string, etag: string | null}} */
    this.session = { at: "", etag: null };
    this.isOn = false;
    this.packets = 0;
    this.heard_ms = 0;
    setInterval(() => this.#look(), LOOK_MS);
    window.addEventListener("online", () => this.isOn && this.#connect());
  }

  start() {
    this.isOn = true;
    this.attempts = 0;
    this.#connect();
  }

  stop() {
    this.isOn = false;
    this.#drop();
    this.#tell("state", { state: "idle", says: "" });
  }

  async #connect() {
    this.#drop();
    const { signal } = this.abort;
    this.#tell("state", { state: "connecting", says: "" });
    const pc = new RTCPeerConnection({ iceServers: [], bundlePolicy: "max-bundle" });
    this.connection = pc;
    pc.addEventListener("connectionstatechange", () => pc === this.connection && this.#judge(pc));
    playAtOnce(pc.addTransceiver("video", { direction: "recvonly" }).receiver);
    pc.addEventListener("track", ({ track }) => {
      if (pc === this.connection) this.#tell("stream", new MediaStream([track]));
    });
    pause(PATIENCE_MS, signal).then(
      () => pc.connectionState !== "connected" && this.#lose(WORDS.unreachable),
      () => {},
    );
    try {
      const offer = await pc.createOffer();
      const answer = await this.#post(offer.sdp ?? "", signal);
      const trickle = this.#trickle(pc, signal);
      pc.addEventListener("icecandidate", ({ candidate }) => candidate?.candidate && trickle(candidate));
      pc.setConfiguration({ ...pc.getConfiguration(), iceServers: answer.iceServers });
      await pc.setLocalDescription(offer);
      await pc.setRemoteDescription({ type: "answer", sdp: answer.sdp });
    } catch (error) {
      if (!signal.aborted) this.#lose(/** @type {Error} */ (error).message);
    }
  }

  /**
   * @param {string} sdp
   * @param {AbortSignal} signal
   * @returns {Promise<{sdp: string, iceServers: RTCIceServer[]}>}
   */
  async #post(sdp, signal) {
    const headers = { ...this.#headers(), "Content-Type": "application/sdp" };
    const asked = { method: "POST", headers, body: sdp, cache: /** @type {const} */ ("no-store") };
    // Not called off by the signal: what is answered too late has to be given back.
    const answer = await fetch(this.url, asked).catch(() => {
      throw new Error(WORDS.unreachable);
    });
    const at = answer.headers.get("Location");
    const session = { at: at ? new URL(at, answer.url).href : "", etag: answer.headers.get("ETag") };
    if (signal.aborted) this.#giveBack(session);
    signal.throwIfAborted();
    if (answer.status !== 201) {
      const said = await answer.json().catch(() => ({}));
      throw new Error(said.says ?? WORDS.refused(answer.status));
    }
    this.session = session;
    const iceServers = iceServersOf(answer.headers.get("Link"));
    const text = await answer.text();
    signal.throwIfAborted();
    return { sdp: text, iceServers };
  }

  /**
   * Send addresses after the offer. Who refuses them finds this page without: it calls first.
   *
   * @param {RTCPeerConnection} pc
   * @param {AbortSignal} signal
   * @returns {(candidate: RTCIceCandidate) => void}
   */
  #trickle(pc, signal) {
    /** @type {RTCIceCandidate[]} */
    let found = [];
    const { at, etag } = this.session;
    return (candidate) => {
      found.push(candidate);
      if (found.length > 1) return;
      setTimeout(() => {
        const body = fragmentOf(pc.localDescription?.sdp ?? "", found);
        found = [];
        if (signal.aborted || !at) return;
        const headers = this.#headers();
        headers["Content-Type"] = "application/trickle-ice-sdpfrag";
        if (etag) headers["If-Match"] = etag;
        fetch(at, { method: "PATCH", headers, body, signal }).catch(() => {});
      }, GATHERED_MS);
    };
  }

  /** @param {RTCPeerConnection} pc */
  #judge(pc) {
    const state = pc.connectionState;
    if (state === "connected") {
      this.attempts = 0;
      this.packets = 0;
      this.heard_ms = performance.now();
      this.#tell("state", { state: "live", says: "" });
    } else if (state === "failed" || state === "closed") {
      this.#lose(WORDS.lost);
    } else if (state === "disconnected") {
      setTimeout(() => {
        if (pc === this.connection && pc.connectionState === state) this.#lose(WORDS.lost);
      }, DISCONNECTED_MS);
    }
  }

  /** Notice a server that is gone without a word, long before the browser does. */
  async #look() {
    const pc = this.connection;
    if (pc?.connectionState !== "connected") return;
    let packets = 0;
    (await pc.getStats()).forEach((one) => {
      if (one.type === "inbound-rtp") packets += one.packetsReceived;
    });
    if (pc !== this.connection) return;
    const now_ms = performance.now();
    if (packets !== this.packets || !packets) this.heard_ms = now_ms;
    this.packets = packets;
    if (now_ms - this.heard_ms > SILENCE_MS) this.#lose(WORDS.lost);
  }

  /** @param {string} says */
  #lose(says) {
    if (!this.isOn) return;
    this.#drop();
    this.#tell("state", { state: "lost", says: navigator.onLine ? says : WORDS.offline });
    const wait_ms = backoff(this.attempts, BACKOFF_MS);
    this.attempts += 1;
    pause(wait_ms, this.abort.signal).then(
      () => this.#connect(),
      () => {},
    );
  }

  #drop() {
    this.abort.abort();
    this.abort = new AbortController();
    this.connection?.close();
    this.connection = null;
    this.#giveBack(this.session);
    this.session = { at: "", etag: null };
  }

  /** @param {{at: string}} session deleted even while the page goes away */
  #giveBack({ at }) {
    if (!at) return;
    fetch(at, { method: "DELETE", headers: this.#headers(), keepalive: true }).catch(() => {});
  }

  /** @returns {Record<string, string>} */
  #headers() {
    return this.token ? { Authorization: `Bearer ${this.token}` } : {};
  }

  /** @param {string} type @param {unknown} detail */
  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/**
 * Read the ICE servers of an answer (RFC 9725, 4.6).
 *
 * @param {string | null} link a header, with any number of links
 * @returns {RTCIceServer[]}
 */
export function iceServersOf(link) {
  const links = [...(link ?? "").matchAll(/<([^>]*)>((?:\s*;\s*[\w-]+\s*=\s*(?:"[^"]*"|[^\s;,]+))*)/g)];
  return links.flatMap(([, url, rest]) => {
    const given = Object.fromEntries(
      [...rest.matchAll(/([\w-]+)\s*=\s*(?:"([^"]*)"|([^\s;,]+))/g)].map(
        ([, key, quoted, plain]) => [key.toLowerCase(), quoted ?? plain],
      ),
    );
    if (given.rel !== "ice-server") return [];
    const { username, credential } = given;
    return [{ urls: url, ...(username ? { username, credential } : {}) }];
  });
}

/**
 * Write addresses as RFC 8840 does; all media go over the first section.
 *
 * @param {string} sdp of the offer
 * @param {RTCIceCandidate[]} candidates
 */
function fragmentOf(sdp, candidates) {
  const [head = "", first = ""] = sdp.split(/^(?=m=)/m);
  const line = (/** @type {RegExp} */ pattern) => (first.match(pattern) ?? head.match(pattern) ?? [""])[0];
  const lines = [
    line(/^a=ice-ufrag:.*$/m),
    line(/^a=ice-pwd:.*$/m),
    line(/^m=.*$/m),
    line(/^a=mid:.*$/m),
    ...candidates.map(({ candidate }) => `a=${candidate}`),
  ];
  return lines.map((one) => `${one.trim()}\r\n`).join("");
}
