// @ts-check
/** What the session and the server say, put where it belongs: caption, bar or strip. */

import { button, element } from "./element.js";
import { WORDS } from "./words.js";

const SLOW_MS = 120;
/** Reports in a row, two a second, before the page says that it is slow. */
const SLOW_REPORTS = 8;
const BRIEF_MS = 5000;
/** What the strip says of a state of the session. @type {Record<string, string>} */
const SHORT = {
  idle: "Ready",
  connecting: "Connecting",
  waiting: "Waiting",
  warming: "Starting",
  live: "Live",
  lost: "Reconnecting",
  ended: "Ended",
};

export class Notices {
  /**
   * @param {object} page
   * @param {import("./bar.js").Bar} page.bar
   * @param {import("./session.js").Session} page.session
   * @param {import("./strip.js").Strip} page.strip
   * @param {HTMLElement} page.caption
   * @param {HTMLElement} page.announcer
   * @param {() => void} page.leave
   * @param {() => {word: string, press: () => void} | null} page.smaller size that could be offered
   */
  constructor({ bar, session, strip, caption, announcer, leave, smaller }) {
    this.bar = bar;
    this.session = session;
    this.strip = strip;
    this.caption = caption;
    this.announcer = announcer;
    this.leave = leave;
    this.smaller = smaller;
    this.timer = 0;
    this.slow_reports = 0;
    this.isTold = false;
    this.said = "";
    const { messages } = session;
    session.addEventListener("state", (event) => this.#state(detail(event)));
    messages.addEventListener("status", (event) => this.#status(detail(event)));
    messages.addEventListener("notice", (event) => this.#notice(detail(event)));
    messages.addEventListener("refused", (event) => {
      bar.show("refused", { level: "warning", says: detail(event).says });
    });
    messages.addEventListener("draining", (event) => {
      const says = WORDS.draining(Math.round(detail(event).in_s));
      bar.show("draining", { level: "info", says, stays: true });
    });
  }

  /** @param {string} says for a moment, also to who does not see it */
  brief(says) {
    this.bar.show("brief", { level: "info", says, stays: true });
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.bar.clear("brief"), BRIEF_MS);
  }

  /** @param {string} says to who does not see it */
  announce(says) {
    if (says !== this.said) this.announcer.textContent = says;
    this.said = says;
  }

  /** @param {{state: string, says: string, status?: number}} change */
  #state({ state, says }) {
    const isWaiting = state === "connecting" || state === "warming" || state === "waiting";
    this.#caption(isWaiting ? says : "", state === "waiting");
    this.strip.say(SHORT[state], state === "live");
    this.announce(SHORT[state]);
    if (state === "lost") {
      const offers = [{ word: "Start over", press: () => this.session.restart() }];
      this.bar.show("lost", { level: "warning", says, offers, stays: true });
    } else if (state === "ended") {
      const offers = [{ word: "Start again", isMain: true, press: () => this.session.restart() }];
      this.bar.show("ended", { level: "error", says, offers, stays: true });
      this.bar.clear("lost", "draining");
    } else if (state !== "connecting") {
      this.bar.clear("lost", "ended", "draining");
    }
  }

  /** @param {string} says @param {boolean} canLeave */
  #caption(says, canLeave) {
    if (this.caption.dataset.says === says) return;
    this.caption.dataset.says = says;
    const leave = canLeave && button({ word: "Leave", class: "small plain-button", press: this.leave });
    this.caption.replaceChildren(
      ...(says
        ? [
            element("span", { class: "spinner", "aria-hidden": "true" }),
            element("span", { text: says }),
            ...(leave ? [leave] : []),
          ]
        : []),
    );
  }

  /** @param {any} status */
  #status(status) {
    this.strip.status(status);
    const { state, says } = status;
    if (this.session.state === "warming") {
      this.#caption(state === "loading" ? WORDS.warming : WORDS.starting, false);
    }
    if (state === "restarting") {
      this.bar.show("model", { level: "warning", says: says || WORDS.restarting, stays: true });
    } else if (state === "failed") {
      const offers = [{ word: "Start over", press: () => this.session.restart() }];
      const stopped = says || WORDS.modelStopped;
      this.bar.show("model", { level: "error", says: stopped, offers, stays: true });
    } else {
      this.bar.clear("model");
    }
    if (this.session.state === "live") {
      this.strip.say(state === "resting" ? WORDS.resting : SHORT.live, true);
    }
    // What draws until better engines are built is slow, and not for long.
    const isStandIn = status.upcoming && !status.upcoming.failure;
    this.#watchSpeed(isStandIn ? "waiting" : state, status.frame_ms);
  }

  /** @param {string} state @param {number} frame_ms */
  #watchSpeed(state, frame_ms) {
    const isSlow = state === "running" && frame_ms > SLOW_MS;
    this.slow_reports = isSlow ? this.slow_reports + 1 : 0;
    if (!isSlow) this.bar.clear("slow");
    if (this.isTold || this.slow_reports < SLOW_REPORTS) return;
    const offer = this.smaller();
    if (!offer) return;
    this.isTold = true; // once a visit: whoever keeps the size has decided
    const offers = [{ ...offer, isMain: true }];
    this.bar.show("slow", { level: "info", says: WORDS.slow(frame_ms), offers });
  }

  /** @param {{level: "info" | "warning" | "error", says: string, key?: string, details?: string}} said */
  #notice({ level, says, key = "notice", details }) {
    this.bar.show(key, { level, says, help: details });
    if (level === "info") setTimeout(() => this.bar.clear(key), 2 * BRIEF_MS);
  }
}

/** @param {Event} event */
function detail(event) {
  return /** @type {CustomEvent} */ (event).detail;
}
