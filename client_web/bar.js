// @ts-check
/** The one place for errors and notices: a bar over the strip; the gravest one is shown. */

import { button, element, icon } from "./element.js";

/** @type {Record<string, number>} */
const GRAVITY = { info: 0, warning: 1, error: 2 };

/**
 * @typedef {object} Notice
 * @property {"info" | "warning" | "error"} level
 * @property {string} says
 * @property {string} [help] a second, quieter sentence
 * @property {{word: string, press: () => void, isMain?: boolean}[]} [offers]
 * @property {boolean} [stays] it goes by itself, when what it says is over
 */

export class Bar {
  /** @param {HTMLElement} place */
  constructor(place) {
    this.place = place;
    /** @type {Map<string, Notice>} */
    this.notices = new Map();
  }

  /** @param {string} key one notice for each @param {Notice} notice */
  show(key, notice) {
    if (JSON.stringify(this.notices.get(key)) === JSON.stringify(notice)) return;
    this.notices.delete(key);
    this.notices.set(key, notice);
    this.#render();
  }

  /** @param {...string} keys */
  clear(...keys) {
    const had = keys.map((key) => this.notices.delete(key));
    if (had.includes(true)) this.#render();
  }

  clearAll() {
    this.clear(...this.notices.keys());
  }

  #render() {
    const all = [...this.notices.entries()].reverse();
    const gravest = Math.max(...all.map(([, notice]) => GRAVITY[notice.level]));
    const top = all.find(([, notice]) => GRAVITY[notice.level] === gravest);
    const isNew = !this.place.childElementCount;
    this.place.replaceChildren(...(top ? [this.#notice(...top)] : []));
    // Words that take the place of others do not come flying in again.
    if (top && isNew) this.place.children[0].classList.add("is-new");
  }

  /** @param {string} key @param {Notice} notice */
  #notice(key, { level, says, help, offers = [], stays }) {
    const press = (/** @type {() => void} */ then) => () => {
      this.clear(key);
      then();
    };
    const buttons = offers.map((offer) =>
      button({
        word: offer.word,
        class: offer.isMain ? "small main-button" : "small plain-button",
        press: press(offer.press),
      }),
    );
    const close = button({ icon: "close", label: "Dismiss", class: "icon-button", press: press(() => {}) });
    return element(
      "div",
      { class: "notice", "data-level": level, role: level === "error" ? "alert" : "status" },
      level === "info" ? null : icon("alert"),
      element(
        "p",
        {},
        element("strong", { text: says }),
        help && element("span", { class: "notice-help", text: ` ${help}` }),
      ),
      element("div", { class: "offers" }, ...buttons, !stays && close),
    );
  }
}
