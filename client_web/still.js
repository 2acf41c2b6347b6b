// @ts-check
/** The first picture of the page: a still, half as the camera saw it, half redrawn. */

import { element } from "./element.js";
import { thumbnail } from "./styles.js";

const HALF = 50;

export class Still {
  /** @param {HTMLElement} place @param {import("./vocabulary.js").Vocabulary | null} understands */
  constructor(place, understands) {
    this.place = place;
    this.words = element("span", { class: "still-word is-drawn" });
    this.drawn = element("div", { class: "still-drawn" });
    this.first = understands?.styles[0] ?? null;
    if (!understands) {
      place.classList.add("is-empty");
      return;
    }
    this.wipe = element("input", {
      type: "range",
      min: 0,
      max: 100,
      value: HALF,
      "aria-label": "How much of the still is shown redrawn",
      oninput: () => this.#part(),
    });
    place.append(
      thumbnail(understands.original, 320),
      this.drawn,
      element("span", { class: "still-line" }),
      element("span", { class: "still-word", text: "camera" }),
      this.words,
      this.wipe,
    );
    this.#part();
  }

  /** @param {import("./vocabulary.js").StyleWord | null} chosen shown redrawn */
  show(chosen) {
    const style = chosen ?? (this.words.textContent ? null : this.first);
    if (!this.wipe || !style || this.words.textContent === style.name) return;
    this.words.textContent = style.name;
    this.drawn.replaceChildren(thumbnail(style.thumbnail, 320));
  }

  #part() {
    const share = 1 - this.wipe.valueAsNumber / 100;
    this.wipe.setAttribute("aria-valuetext", `${Math.round(share * 100)} % redrawn`);
    this.place.style.setProperty("--wipe", `${this.wipe.value}%`);
  }
}
