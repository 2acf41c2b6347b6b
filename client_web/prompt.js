// @ts-check
/** The prompt: sentences with weights, and chips of what the model understands. */

import { button, element } from "./element.js";
import { findWord, withoutWord, withWord } from "./vocabulary.js";

const TYPING_MS = 120;
const MAX_ROWS = 8;
const MAX_SHOWN_WEIGHT = 2;

/** @typedef {{text: string, weight: number}} Sentence */

export class Prompt {
  /**
   * @param {import("./values.js").Values} values
   * @param {import("./vocabulary.js").Vocabulary | null} understands
   * @param {(style: import("./vocabulary.js").StyleWord | null) => void} styled told which style is in use
   */
  constructor(values, understands, styled) {
    this.values = values;
    this.understands = understands;
    this.styled = styled;
    this.active = 0;
    this.typing = 0;
    this.rows = element("div", { class: "prompt-rows" });
    this.chips = this.#chips();
    this.add = button({ icon: "plus", word: "Blend in another", press: () => this.#blend() });
    this.add.className = "quiet-button";
    this.hint = element("p", { class: "quiet", hidden: true, text: understands?.combining });
    this.element = element(
      "section",
      { class: "prompt", "aria-label": "Prompt" },
      this.rows,
      element("div", { class: "chips", role: "group", "aria-label": "Colours and light" }),
      this.hint,
      this.add,
    );
    this.element.children[1].append(...this.chips.map((chip) => chip.button));
    values.addEventListener("change", (event) => {
      if (/** @type {CustomEvent} */ (event).detail.names.includes("prompts")) this.show();
    });
    this.show();
  }

  /** @returns {Sentence[]} */
  get sentences() {
    return this.values.get("prompts");
  }

  /** @param {import("./vocabulary.js").StyleWord} style put into the sentence in hand */
  style(style) {
    const styles = this.understands?.styles ?? [];
    this.#write(withWord(this.#text(), style, styles, true));
  }

  /** Show what is chosen; a field in which somebody types is left alone. */
  show() {
    const { sentences } = this;
    this.active = Math.min(this.active, sentences.length - 1);
    if (this.rows.children.length !== sentences.length) {
      this.rows.replaceChildren(...sentences.map((_, index) => this.#row(index)));
    }
    sentences.forEach((sentence, index) => this.#fill(this.rows.children[index], sentence));
    this.add.hidden = sentences.length >= MAX_ROWS;
    this.#mark();
  }

  #text() {
    return this.sentences[this.active].text;
  }

  /** @param {any} row @param {Sentence} sentence */
  #fill(row, { text, weight }) {
    const [box, slider, shown] = [row.box, row.slider, row.shown];
    if (!this.typing && box.value !== text) box.value = text;
    grow(box);
    slider.value = weight;
    slider.style.setProperty("--fill", String(Math.min(weight / MAX_SHOWN_WEIGHT, 1)));
    shown.textContent = weight.toFixed(2);
    row.classList.toggle("is-blended", this.sentences.length > 1);
  }

  /** @param {number} index */
  #row(index) {
    const number = index ? ` ${index + 1}` : "";
    const box = element("textarea", {
      rows: 1,
      maxlength: 500,
      spellcheck: "false",
      placeholder: index ? "Another style" : (this.understands?.empty_prompt ?? "What to draw"),
      "aria-label": `Prompt${number}`,
      oninput: () => this.#type(index, box),
      onblur: () => this.#sendTyped(),
      onfocus: () => {
        this.active = index;
        this.#mark();
      },
    });
    const slider = element("input", {
      type: "range",
      min: 0,
      max: MAX_SHOWN_WEIGHT,
      step: 0.05,
      "aria-label": `Weight of prompt${number || " 1"}`,
      oninput: () => this.#weigh(index, slider.valueAsNumber, true),
      onchange: () => this.#weigh(index, slider.valueAsNumber, false),
    });
    const shown = element("output", { class: "value" });
    const gone = button({
      icon: "close",
      label: `Remove prompt${number || " 1"}`,
      class: "icon-button",
      press: () => this.#remove(index),
    });
    const weights = element("div", { class: "prompt-weight" }, slider, shown, gone);
    return Object.assign(element("div", { class: "prompt-row" }, box, weights), {
      box,
      slider,
      shown,
    });
  }

  /** @param {number} index @param {HTMLTextAreaElement} box */
  #type(index, box) {
    grow(box);
    clearTimeout(this.typing);
    this.typed = () => this.#change(index, { text: box.value });
    this.typing = window.setTimeout(() => this.#sendTyped(), TYPING_MS);
  }

  #sendTyped() {
    if (!this.typing) return;
    clearTimeout(this.typing);
    this.typing = 0;
    this.typed?.();
  }

  /** @param {number} index @param {number} weight @param {boolean} isLive */
  #weigh(index, weight, isLive) {
    const others = this.sentences.some((one, other) => other !== index && one.weight > 0);
    this.#change(index, { weight: others ? weight : Math.max(weight, 0.05) }, isLive);
  }

  /** @param {number} index @param {Partial<Sentence>} part @param {boolean} [isLive] */
  #change(index, part, isLive = false) {
    const next = this.sentences.map((one, at) => (at === index ? { ...one, ...part } : one));
    this.values.set({ prompts: next }, isLive);
  }

  #blend() {
    this.values.set({ prompts: [...this.sentences, { text: "", weight: 1 }] });
    /** @type {any} */ (this.rows.lastElementChild).box.focus();
  }

  /** @param {number} index */
  #remove(index) {
    const left = this.sentences.filter((_, at) => at !== index);
    const total = left.reduce((sum, one) => sum + one.weight, 0);
    if (!total) left[0] = { ...left[0], weight: 1 };
    this.values.set({ prompts: left });
    this.add.focus();
  }

  /** @param {string} text */
  #write(text) {
    clearTimeout(this.typing);
    this.typing = 0;
    this.#change(this.active, { text });
  }

  #chips() {
    const { palettes = [], lights = [] } = this.understands ?? {};
    return [palettes, lights].flatMap((kind) =>
      kind.map((word) => ({
        word,
        button: element("button", {
          type: "button",
          class: "chip",
          text: word.name.replace(/ colou?rs$/, ""),
          "aria-label": word.name,
          title: word.name,
          onclick: () => this.#toggle(word, kind),
        }),
      })),
    );
  }

  /** @param {import("./vocabulary.js").Word} word @param {import("./vocabulary.js").Word[]} kind */
  #toggle(word, kind) {
    const text = this.#text();
    const isThere = findWord(text, kind)?.word === word;
    this.#write(isThere ? withoutWord(text, word) : withWord(text, word, kind));
  }

  /** Show which style and which chips the sentence in hand holds. */
  #mark() {
    const text = this.#text();
    const { styles = [], palettes = [], lights = [] } = this.understands ?? {};
    const there = [palettes, lights].map((kind) => findWord(text, kind)?.word);
    for (const chip of this.chips) {
      chip.button.setAttribute("aria-pressed", String(there.includes(chip.word)));
    }
    const style = findWord(text, styles)?.word ?? null;
    // Words that the model does not know change little: say so where there are no others.
    this.hint.hidden = Boolean(style || there.some(Boolean) || !text.trim() || !styles.length);
    this.styled(style);
  }
}

/** @param {HTMLTextAreaElement} box made as high as its text */
function grow(box) {
  box.style.height = "auto";
  if (box.scrollHeight) box.style.height = `${box.scrollHeight + 2}px`;
}
