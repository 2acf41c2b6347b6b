// @ts-check
/** The model's styles as pictures to choose from, one at a time; knows no prompts. */

import { element, icon } from "./element.js";

/** @param {string} path of the vocabulary, as "thumbnails/oil-painting.webp" */
export function thumbnailAt(path) {
  return `v1/${path}`;
}

/**
 * An image that leaves a quiet placeholder where its file is missing.
 *
 * @param {string} path
 * @param {number} side_px
 */
export function thumbnail(path, side_px) {
  const frame = element("span", { class: "thumbnail" }, icon("picture"));
  const image = element("img", {
    src: thumbnailAt(path),
    alt: "",
    width: side_px,
    height: side_px,
    decoding: "async",
    draggable: "false",
    onload: () => frame.classList.add("is-there"),
    onerror: () => image.remove(),
  });
  frame.append(image);
  return frame;
}

export class Styles {
  /**
   * @param {import("./vocabulary.js").StyleWord[]} styles
   * @param {(style: import("./vocabulary.js").StyleWord) => void} choose
   */
  constructor(styles, choose) {
    this.styles = styles;
    this.choose = choose;
    this.inputs = styles.map((style) => this.#input(style));
    this.tiles = styles.map((style, index) => this.#tile(style, index));
    this.element = element("fieldset", { class: "styles", hidden: !styles.length });
    this.element.append(
      element("legend", { text: "Style" }),
      element("div", { class: "style-tiles" }, ...this.tiles),
    );
  }

  /** @param {number} number as on the keyboard, from 1 */
  pick(number) {
    const style = this.styles[number - 1];
    if (style) this.choose(style);
    return style;
  }

  /** @param {import("./vocabulary.js").StyleWord | null} style that is in use */
  show(style) {
    this.inputs.forEach((input, index) => {
      const isChosen = this.styles[index] === style;
      if (isChosen && !input.checked) this.#reveal(this.tiles[index]);
      input.checked = isChosen;
    });
  }

  /** @param {HTMLElement} tile scrolled into its row, without moving the page */
  #reveal(tile) {
    const row = tile.parentElement;
    if (!row || row.scrollWidth <= row.clientWidth) return;
    row.scrollTo({ left: tile.offsetLeft - (row.clientWidth - tile.clientWidth) / 2 });
  }

  /** @param {import("./vocabulary.js").StyleWord} style */
  #input(style) {
    return element("input", {
      type: "radio",
      name: "style",
      class: "unseen",
      value: style.name,
      onchange: () => this.choose(style),
    });
  }

  /** @param {import("./vocabulary.js").StyleWord} style @param {number} index */
  #tile(style, index) {
    const key = index < 9 && element("kbd", { text: String(index + 1), "aria-hidden": "true" });
    return element(
      "label",
      { class: "style-tile", title: style.description },
      this.inputs[index],
      thumbnail(style.thumbnail, 96),
      element("span", { class: "name", text: style.name }),
      key,
    );
  }
}
