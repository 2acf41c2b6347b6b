// @ts-check
/** Everything that can be chosen about the picture: values, and the widgets that show them. */

import { Controls } from "./controls.js";
import { byId, element } from "./element.js";
import { Prompt } from "./prompt.js";
import { Styles } from "./styles.js";
import { Values } from "./values.js";
import { WORDS } from "./words.js";

export class Panel {
  /**
   * @param {object} given
   * @param {any[]} given.schema of the controls
   * @param {import("./vocabulary.js").Vocabulary | null} given.understands
   * @param {string} given.key under which what is chosen is remembered, or empty
   * @param {import("./messages.js").Messages} given.messages
   * @param {boolean} [given.isReadOnly] shown, and not to be changed
   * @param {(style: import("./vocabulary.js").StyleWord | null) => void} [given.styled]
   * @param {import("./offers.js").Offers} given.offers LoRAs that the server has
   */
  constructor({ schema, understands, key, messages, isReadOnly = false, styled = () => {}, offers }) {
    this.values = new Values(schema, key, (changes, isLive) => messages.patch(changes, isLive));
    this.styles = new Styles(understands?.styles ?? [], (style) => this.prompt.style(style));
    this.prompt = new Prompt(this.values, understands, (style) => {
      this.styles.show(style);
      styled(style);
    });
    this.controls = new Controls(this.values, understands, isReadOnly ? undefined : offers);
    this.isReadOnly = isReadOnly;
    /** @type {any} */ (this.styles.element).disabled = isReadOnly;
    byId("panel").tabIndex = isReadOnly ? 0 : -1; // nothing in it can be reached: it scrolls itself
    const why = isReadOnly && element("p", { class: "read-only", text: WORDS.readOnly });
    byId("panel-prompt").replaceChildren(...(why ? [why] : []), this.#held(this.prompt.element));
    byId("panel-groups").replaceChildren(this.#held(this.controls.element));
  }

  /** @param {HTMLElement} part */
  #held(part) {
    if (!this.isReadOnly) return part;
    return element("fieldset", { class: "held-back", disabled: true }, part);
  }
}
