// @ts-check
/** The size of the model's picture: which are allowed, which is chosen, what runs it. */

import { element } from "./element.js";
import { settings } from "./memory.js";
import { WORDS } from "./words.js";

/** @typedef {{width: number, height: number}} Size */

/** Event "change" when the pictures have another size. */
export class Sizes extends EventTarget {
  /**
   * @param {{allowed: Size[], default: Size}} sizes
   * @param {import("./messages.js").Messages} messages
   * @param {import("./bar.js").Bar} bar
   */
  constructor(sizes, messages, bar) {
    super();
    this.allowed = sizes.allowed;
    this.messages = messages;
    this.bar = bar;
    const kept = settings.read("size");
    /** @type {Size} */
    this.now = this.allowed.find((one) => nameOf(one) === (kept && nameOf(kept))) ?? sizes.default;
    /** @type {Size | null} */
    this.wanted = null;
    this.menu = element(
      "select",
      { id: "size", onchange: () => this.choose(this.allowed[this.menu.selectedIndex]) },
      ...this.allowed.map((one) => element("option", { value: nameOf(one), text: nameOf(one) })),
    );
    this.runsOn = element("span", { class: "fact", text: "–" });
    this.rows = [row("Size", this.menu), row("Runs on", this.runsOn)];
    messages.addEventListener("status", (event) => this.#status(/** @type {any} */ (event).detail));
    messages.addEventListener("refused", () => this.#want(null));
    this.#want(null);
  }

  /** @param {Size} size */
  choose(size) {
    if (this.messages.size(size.width, size.height)) this.#want(size);
    else this.take(size);
  }

  /** @param {Size} size that is so now */
  take({ width, height }) {
    const isNew = nameOf(this.now) !== nameOf({ width, height });
    this.now = { width, height };
    this.#want(null);
    if (!isNew) return;
    settings.write("size", this.now);
    this.dispatchEvent(new CustomEvent("change"));
  }

  /** @param {any} status of the server */
  #status({ backend, precision, width, height }) {
    this.runsOn.textContent = [backend, precision].filter(Boolean).join(" · ") || "–";
    const isThere = !this.wanted || nameOf(this.wanted) === nameOf({ width, height });
    if (isThere) this.take({ width, height });
  }

  /** @param {Size | null} size that is being prepared, while the pictures go on as they are */
  #want(size) {
    this.wanted = size;
    this.menu.value = nameOf(size ?? this.now);
    if (size) this.bar.show("size", { level: "info", says: WORDS.sizing(nameOf(size)), stays: true });
    else this.bar.clear("size");
  }

  /** The next smaller size of the same shape, as an offer. */
  smaller() {
    const smaller = this.allowed.filter(
      (one) => one.width < this.now.width && isAlike(one, this.now),
    );
    if (!smaller.length) return null;
    const next = smaller.reduce((best, one) => (one.width > best.width ? one : best));
    return { word: `${this.now.width} → ${next.width}`, press: () => this.choose(next) };
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

/** @param {Size} one @param {Size} other sizes are multiples of 8, so shapes are nearly the same */
function isAlike(one, other) {
  const ratio = (one.width * other.height) / (one.height * other.width);
  return ratio > 0.96 && ratio < 1.04;
}
