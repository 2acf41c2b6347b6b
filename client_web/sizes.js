// @ts-check
/** The size of the model's picture: which are allowed, which is chosen, what runs it. */

import { element } from "./element.js";
import { settings } from "./memory.js";

/** @typedef {{width: number, height: number}} Size */

export class Sizes {
  /**
   * @param {{allowed: Size[], default: Size}} sizes
   * @param {(size: Size) => number} ask the server; 0 where nobody listens yet
   */
  constructor(sizes, ask) {
    this.allowed = sizes.allowed;
    this.ask = ask;
    const kept = settings.read("size");
    /** @type {Size} */
    this.now = this.allowed.find((one) => nameOf(one) === (kept && nameOf(kept))) ?? sizes.default;
    this.menu = element(
      "select",
      { id: "size", onchange: () => this.choose(this.allowed[this.menu.selectedIndex]) },
      ...this.allowed.map((one) => element("option", { value: nameOf(one), text: nameOf(one) })),
    );
    this.runsOn = element("span", { class: "fact", text: "–" });
    this.rows = [row("Size", this.menu), row("Runs on", this.runsOn)];
    this.#show();
  }

  /** @param {Size} size */
  choose(size) {
    if (!this.ask(size)) this.take(size);
  }

  /** @param {Size} size that is so now */
  take({ width, height }) {
    this.now = { width, height };
    settings.write("size", this.now);
    this.#show();
  }

  /** Go back to what is so: the server refused another. */
  undo() {
    this.#show();
  }

  /** @param {any} status of the server */
  status({ backend, precision }) {
    this.runsOn.textContent = [backend, precision].filter(Boolean).join(" · ") || "–";
  }

  /** The next smaller size, as an offer. */
  smaller() {
    const smaller = this.allowed.filter((one) => areaOf(one) < areaOf(this.now));
    if (!smaller.length) return null;
    const next = smaller.reduce((best, one) => (areaOf(one) > areaOf(best) ? one : best));
    return { word: `${this.now.width} → ${next.width}`, press: () => this.choose(next) };
  }

  #show() {
    this.menu.value = nameOf(this.now);
  }
}

/** @param {string} title @param {HTMLElement} field */
function row(title, field) {
  const label = element(field.id ? "label" : "span", { class: "label", text: title });
  if (field.id) label.htmlFor = field.id;
  return element("div", { class: "row" }, element("div", { class: "row-head" }, label, field));
}

/** @param {Size} size */
function nameOf({ width, height }) {
  return `${width} × ${height}`;
}

/** @param {Size} size */
function areaOf({ width, height }) {
  return width * height;
}
