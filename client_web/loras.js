// @ts-check
/** The widget of the control "loras": a chip for each there is, a scale for each that is on. */

import { button, element } from "./element.js";
import { numberField } from "./number.js";
import { WORDS } from "./words.js";

/** As `streamgen.controls` has it: LoRAs at a time, and the largest scale either way. */
export const MOST = 8;
export const LARGEST_SCALE = 4;
/** Between which scales the slider goes; others can be typed. */
const [LOW, HIGH] = [-1, 2];
/** From so many on, there is a field to find one by its name. */
const MANY = 12;

/** @typedef {{name: string, scale: number}} Chosen */

/** A `Widget` of widgets.js. */
export class Loras {
  /** @param {import("./widgets.js").Ask} ask */
  constructor({ title, describedby, choose, offers }) {
    this.choose = choose;
    this.offers = offers;
    this.value = null;
    this.isInline = false;
    /** @type {Chosen[]} */
    this.chosen = [];
    /** What they were at when they were last on. @type {Map<string, number>} */
    this.scales = new Map();
    /** @type {Map<string, any>} */
    this.chips = new Map();
    /** @type {Map<string, any>} */
    this.rows = new Map();
    this.find = element("input", {
      type: "search",
      class: "line",
      placeholder: "Find a LoRA",
      "aria-label": "Find a LoRA",
      oninput: () => this.#filter(),
    });
    this.chipBox = element("div", { class: "chips" });
    this.rowBox = element("div", { class: "lora-rows" });
    this.says = element("p", { class: "quiet", role: "status" });
    this.field = element(
      "div",
      { class: "loras", role: "group", "aria-label": title, "aria-describedby": describedby },
      this.find,
      this.chipBox,
      this.says,
      this.rowBox,
    );
    // A double click on the row puts a control back; here it is one scale, not all of them.
    this.field.addEventListener("dblclick", (/** @type {Event} */ event) => event.stopPropagation());
  }

  /** Its group was opened: somebody wants to see what there is. */
  opened() {
    this.offers?.refresh();
  }

  /** Whether there is nothing to choose from, and nothing to take out. */
  get isHidden() {
    return !this.offers?.list?.length && !this.chosen.length;
  }

  /** @param {Chosen[]} value */
  show(value) {
    this.chosen = value;
    for (const { name, scale } of value) this.scales.set(name, scale);
    const names = (this.offers?.list ?? []).map((one) => one.name);
    const others = value.map((one) => one.name).filter((name) => !names.includes(name));
    place(this.chipBox, this.chips, [...names, ...others], (name) => this.#chip(name));
    const on = value.map((one) => one.name);
    place(this.rowBox, this.rows, on, (name) => this.#row(name));
    this.chips.forEach((chip, name) => this.#mark(chip, name, on.includes(name)));
    for (const { name, scale } of value) fill(this.rows.get(name), scale);
    this.#filter();
  }

  /** @param {string} name */
  #chip(name) {
    return element("button", {
      type: "button",
      class: "chip",
      text: name,
      onclick: () => this.#press(name),
    });
  }

  /** @param {any} chip @param {string} name @param {boolean} isOn */
  #mark(chip, name, isOn) {
    const why = this.#obstacle(name);
    chip.title = why || name;
    chip.setAttribute("aria-pressed", String(isOn));
    chip.classList.toggle("is-broken", Boolean(why));
    if (why) chip.setAttribute("aria-description", why);
    else chip.removeAttribute("aria-description");
  }

  /** @param {string} name @returns {string} why it cannot be put in, empty where it can */
  #obstacle(name) {
    return this.offers?.lacks(name) ? WORDS.loraGone : (this.offers?.find(name)?.says ?? "");
  }

  /** @param {string} name */
  #press(name) {
    const isOn = this.chosen.some((one) => one.name === name);
    const why = this.#obstacle(name);
    if (isOn) return this.#take(name);
    if (why) return this.#say(`${name}: ${why}`);
    if (this.chosen.length >= MOST) return this.#say(WORDS.mostLoras(MOST));
    this.#say("");
    this.choose([...this.chosen, { name, scale: this.scales.get(name) ?? 1 }]);
  }

  /** @param {string} name to take out */
  #take(name) {
    this.#say("");
    this.choose(this.chosen.filter((one) => one.name !== name));
  }

  /** @param {string} name */
  #row(name) {
    const range = element("input", {
      type: "range",
      min: LOW,
      max: HIGH,
      step: 0.05,
      "aria-label": `Scale of ${name}`,
      oninput: () => this.#scale(name, range.valueAsNumber, true),
      onchange: () => this.#scale(name, range.valueAsNumber),
      ondblclick: () => this.#scale(name, 1),
    });
    const spec = { kind: "number", minimum: -LARGEST_SCALE, maximum: LARGEST_SCALE };
    const exact = numberField(spec, `Scale of ${name}, exactly`, (scale) => this.#scale(name, scale));
    const out = button({
      icon: "close",
      label: `Take out ${name}`,
      class: "icon-button",
      press: () => {
        this.#take(name);
        this.chips.get(name)?.focus();
      },
    });
    const label = element("span", { class: "label", text: name, title: name });
    const head = element("div", { class: "row-head" }, label, exact, out);
    const row = element("div", { class: "lora" }, head, element("div", { class: "slider" }, range));
    return Object.assign(row, { range, exact });
  }

  /** @param {string} name @param {number} scale @param {boolean} [isLive] */
  #scale(name, scale, isLive) {
    const next = this.chosen.map((one) => (one.name === name ? { name, scale } : one));
    this.choose(next, isLive);
  }

  /** @param {string} says what could not be done, or nothing */
  #say(says) {
    this.says.textContent = says;
  }

  /** Show the chips that are on, and those that are looked for. */
  #filter() {
    this.find.hidden = this.chips.size < MANY;
    const wanted = this.find.hidden ? "" : this.find.value.trim().toLowerCase();
    this.chips.forEach((chip, name) => {
      const isOn = chip.getAttribute("aria-pressed") === "true";
      chip.hidden = !isOn && !name.toLowerCase().includes(wanted);
    });
  }
}

/**
 * Have a box hold one element for each name, in this order; those that stay are left as they are.
 *
 * @param {HTMLElement} box
 * @param {Map<string, any>} known
 * @param {string[]} names
 * @param {(name: string) => HTMLElement} make
 */
function place(box, known, names, make) {
  const before = [...known.keys()];
  for (const name of before) if (!names.includes(name)) known.delete(name);
  for (const name of names) if (!known.has(name)) known.set(name, make(name));
  const wanted = names.map((name) => known.get(name));
  if (wanted.every((one, at) => box.children[at] === one) && box.children.length === wanted.length) {
    return;
  }
  const focused = /** @type {HTMLElement | null} */ (document.activeElement);
  box.replaceChildren(...wanted);
  if (focused && box.contains(focused)) focused.focus();
}

/** @param {any} row @param {number} scale */
function fill({ range, exact }, scale) {
  const share = (/** @type {number} */ value) => (value - LOW) / (HIGH - LOW);
  range.value = scale;
  const end = share(Math.min(Math.max(scale, LOW), HIGH));
  range.style.setProperty("--from-zero", String(Math.min(end, share(0))));
  range.style.setProperty("--to-scale", String(Math.max(end, share(0))));
  if (document.activeElement !== exact) exact.value = scale.toFixed(2);
}
