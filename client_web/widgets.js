// @ts-check
/** One widget for each kind of control; a widget shows a value and tells of a new one. */

import { button, element } from "./element.js";
import { Loras } from "./loras.js";
import { numberField } from "./number.js";

const MOST_SEGMENTS = 4;
const SLIDER_STEPS = 1000;
const LARGEST_SEED = 2 ** 32;

/**
 * @typedef {object} Widget
 * @property {HTMLElement} field what is put under, or beside, the label
 * @property {HTMLElement | null} value shown at the right of the label
 * @property {boolean} isInline whether the field stands beside the label
 * @property {(value: any) => void} show
 * @property {boolean} [isHidden] whether there is nothing to choose, after what was shown last
 * @property {() => void} [opened] told that its group was opened
 *
 * @typedef {object} Ask
 * @property {import("./values.js").ControlSpec} spec
 * @property {string} title
 * @property {string} describedby
 * @property {{low: number, high: number} | undefined} useful
 * @property {(value: any, isLive?: boolean) => void} choose
 * @property {import("./offers.js").Offers} [offers] LoRAs that the server has
 */

/** @param {Ask} ask @returns {Widget} */
export function widgetFor(ask) {
  const { spec } = ask;
  if (spec.kind === "choice") return choice(ask);
  if (spec.kind === "text") return text(ask, String, (value) => value);
  if (spec.kind === "integers") return text(ask, showNumbers, readNumbers);
  if (spec.kind === "seeds") return text(ask, showSeeds, readSeeds);
  if (spec.kind === "loras") return new Loras(ask);
  const span = (spec.maximum ?? Infinity) - (spec.minimum ?? 0);
  return span > SLIDER_STEPS ? wideNumber(ask) : slider(ask);
}

/** @param {Ask} ask @returns {Widget} */
function slider({ spec, title, describedby, useful, choose }) {
  const { low, high } = reach(spec, useful);
  const step = spec.kind === "integer" ? 1 : high - low > 4 ? 0.05 : 0.01;
  const range = element("input", {
    type: "range",
    id: `control-${spec.name}`,
    min: low,
    max: high,
    step,
    "aria-describedby": describedby,
    oninput: () => choose(range.valueAsNumber, true),
    onchange: () => choose(range.valueAsNumber),
  });
  const exact = numberField(spec, `${title}, exactly`, (value) => choose(value));
  const field = element("div", { class: "slider" }, range);
  const share = (/** @type {number} */ value) => String((value - low) / (high - low));
  if (useful) {
    range.style.setProperty("--from", share(useful.low));
    range.style.setProperty("--to", share(useful.high));
  }
  const show = (/** @type {number} */ value) => {
    range.value = value;
    range.style.setProperty("--fill", share(range.value));
    if (document.activeElement !== exact) {
      exact.value = spec.kind === "integer" ? value : Number(value).toFixed(2);
    }
  };
  const value = element("span", { class: "exact" }, exact, spec.unit && unit(spec));
  return { field, value, isInline: false, show };
}

/**
 * Between which values the slider goes: all that are allowed, unless the useful ones would then
 * be a sliver of it. Others can be typed.
 *
 * @param {import("./values.js").ControlSpec} spec
 * @param {{low: number, high: number} | undefined} useful
 */
function reach(spec, useful) {
  const [low, high] = [spec.minimum ?? 0, spec.maximum ?? 1];
  if (!useful || useful.high - useful.low > (high - low) / 4) return { low, high };
  const room = useful.high - useful.low;
  return { low: Math.max(low, useful.low - room), high: Math.min(high, useful.high + room) };
}

/** @param {import("./values.js").ControlSpec} spec */
function unit(spec) {
  return element("span", { class: "unit", text: spec.unit });
}

/** @param {Ask} ask @returns {Widget} a number without a useful slider; seeds get dice */
function wideNumber({ spec, title, describedby, choose }) {
  const exact = numberField(spec, title, (value) => choose(value));
  exact.classList.add("is-wide");
  exact.setAttribute("aria-describedby", describedby);
  const roll = () => choose(Math.floor(Math.random() * LARGEST_SEED));
  const dice =
    spec.name.includes("seed") &&
    button({ icon: "dice", label: `Roll another ${title.toLowerCase()}`, class: "icon-button", press: roll });
  const field = element("span", { class: "inline" }, exact, spec.unit && unit(spec), dice);
  const show = (/** @type {number} */ value) => {
    if (document.activeElement !== exact) exact.value = value;
  };
  return { field, value: null, isInline: true, show };
}

/** @param {Ask} ask @returns {Widget} */
function choice(ask) {
  const { choices } = ask.spec;
  if (choices.length === 2 && choices.includes("on") && choices.includes("off")) return toggle(ask);
  return choices.length > MOST_SEGMENTS ? menu(ask) : segments(ask);
}

/** @param {Ask} ask @returns {Widget} */
function toggle({ spec, describedby, choose }) {
  const field = element("input", {
    type: "checkbox",
    role: "switch",
    class: "switch",
    id: `control-${spec.name}`,
    "aria-describedby": describedby,
    onchange: () => choose(field.checked ? "on" : "off"),
  });
  const show = (/** @type {string} */ value) => (field.checked = value === "on");
  return { field, value: null, isInline: true, show };
}

/** @param {Ask} ask @returns {Widget} */
function menu({ spec, describedby, choose }) {
  const options = spec.choices.map((one) => element("option", { value: one, text: one }));
  const field = element(
    "select",
    {
      id: `control-${spec.name}`,
      "aria-describedby": describedby,
      onchange: () => choose(field.value),
    },
    ...options,
  );
  return { field, value: null, isInline: true, show: (value) => (field.value = value) };
}

/** @param {Ask} ask @returns {Widget} */
function segments({ spec, title, describedby, choose }) {
  const inputs = spec.choices.map((one) =>
    element("input", {
      type: "radio",
      class: "unseen",
      name: spec.name,
      value: one,
      onchange: () => choose(one),
    }),
  );
  const labels = inputs.map((input, index) =>
    element("label", {}, input, element("span", { text: spec.choices[index] })),
  );
  const about = { class: "segments", role: "radiogroup", "aria-label": title };
  const field = element("div", { ...about, "aria-describedby": describedby }, ...labels);
  const show = (/** @type {string} */ value) =>
    inputs.forEach((input) => (input.checked = input.value === value));
  return { field, value: null, isInline: false, show };
}

/**
 * @param {Ask} ask
 * @param {(value: any) => string} write
 * @param {(text: string) => any} read undefined where the text means nothing
 * @returns {Widget}
 */
function text({ spec, describedby, choose }, write, read) {
  const field = element("input", {
    type: "text",
    class: "line",
    id: `control-${spec.name}`,
    spellcheck: "false",
    placeholder: spec.kind === "text" ? "" : spec.kind === "seeds" ? "7, 12 × 0.5" : "350, 700",
    "aria-describedby": describedby,
    onchange: () => {
      const value = read(field.value);
      field.setAttribute("aria-invalid", String(value === undefined));
      if (value !== undefined) choose(value);
    },
  });
  const show = (/** @type {any} */ value) => {
    if (document.activeElement !== field) field.value = write(value);
  };
  return { field, value: null, isInline: false, show };
}

/** @param {number[] | null} value */
const showNumbers = (value) => (value ?? []).join(", ");

/** @param {string} written @returns {number[] | null | undefined} */
function readNumbers(written) {
  const parts = written.split(/[\s,;]+/).filter(Boolean);
  const numbers = parts.map(Number);
  return numbers.every(Number.isInteger) ? (numbers.length ? numbers : null) : undefined;
}

/** @param {{number: number, weight: number}[] | null} value */
const showSeeds = (value) =>
  (value ?? []).map(({ number, weight }) => (weight === 1 ? number : `${number} × ${weight}`)).join(", ");

/** @param {string} written @returns {{number: number, weight: number}[] | null | undefined} */
function readSeeds(written) {
  const parts = written.split(/[,;]+/).filter((part) => part.trim());
  const seeds = parts.map((part) => {
    const [number, weight = 1] = part.split(/[×x*:]/).map(Number);
    return { number, weight };
  });
  const isGood = seeds.every((seed) => Number.isInteger(seed.number) && seed.weight >= 0);
  return isGood ? (seeds.length ? seeds : null) : undefined;
}
