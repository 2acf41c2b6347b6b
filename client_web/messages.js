// @ts-check
/** What is said over the data channels; knows no widgets and no connection states. */

const PING_MS = 2000;

/**
 * Events: one per type of message that the server sends ("status", "controls", "notice", "frame",
 * "draining", "closed", "output", "size", "refused", "patched"), and "pong" (detail: {rtt_ms}).
 */
export class Messages extends EventTarget {
  /** @param {() => number} now milliseconds that never go back */
  constructor(now) {
    super();
    this.now = now;
    this.sequence = 0;
    this.last_id = 0;
    this.heard_ms = 0;
    /** @type {import("./peer.js").Peer | null} */
    this.peer = null;
    this.timer = 0;
  }

  get isOpen() {
    return this.peer?.control.readyState === "open";
  }

  /** @param {import("./peer.js").Peer} peer whose channels have just opened */
  attach(peer) {
    this.detach();
    this.peer = peer;
    this.heard_ms = this.now();
    peer.addEventListener("message", (event) => this.#hear(/** @type {CustomEvent} */ (event)));
    this.ping();
    this.timer = window.setInterval(() => this.ping(), PING_MS);
  }

  detach() {
    clearInterval(this.timer);
    this.peer = null;
  }

  /** Milliseconds since the server last answered a ping. */
  get silence_ms() {
    return this.peer ? this.now() - this.heard_ms : 0;
  }

  ping() {
    this.#say({ type: "ping", t: this.now() });
  }

  /**
   * Change controls. `isLive`: one of many, on the way to the last; may be lost.
   *
   * @param {Record<string, unknown>} changes
   * @param {boolean} [isLive]
   * @returns {number} the id that the answer carries; 0 when nothing could be said
   */
  patch(changes, isLive = false) {
    // Rises across reloads too: the server drops what is older than what it has.
    this.sequence = Math.max(this.sequence + 1, Date.now());
    const message = { type: "patch", changes, over_s: 0, sequence: this.sequence };
    return this.#ask(message, isLive);
  }

  /** @param {string} mode */
  output(mode) {
    return this.#ask({ type: "output", mode });
  }

  /** @param {number} width @param {number} height */
  size(width, height) {
    return this.#ask({ type: "size", width, height });
  }

  bye() {
    this.#say({ type: "bye" });
  }

  /** @param {object} message @param {boolean} [isLive] */
  #ask(message, isLive = false) {
    const id = this.last_id + 1;
    if (!this.#say({ ...message, id }, isLive)) return 0;
    this.last_id = id;
    return id;
  }

  /** @param {object} message @param {boolean} [isLive] */
  #say(message, isLive = false) {
    const wanted = isLive ? this.peer?.live : this.peer?.control;
    const channel = wanted?.readyState === "open" ? wanted : this.peer?.control;
    if (channel?.readyState !== "open") return false;
    channel.send(JSON.stringify(message));
    return true;
  }

  /** @param {CustomEvent} event */
  #hear({ detail: message, target }) {
    if (target !== this.peer) return;
    if (message.type === "pong") {
      this.heard_ms = this.now();
      this.tell("pong", { rtt_ms: this.now() - message.t });
    } else {
      this.tell(message.type, message);
    }
  }

  /** @param {string} type @param {unknown} detail as if the server had sent it */
  tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
