// @ts-check
/** Keys of the whole page, and the card that lists them; knows no actions but by name. */

import { button, element } from "./element.js";

/** @type {[string, string][]} */
const CARD = [
  ["B or Space", "Bypass: your own picture goes out"],
  ["F", "Freeze the last picture"],
  ["Esc", "Panic: black at once; again: back"],
  ["R", "Record, and stop"],
  ["S", "Save a picture"],
  ["1 – 9", "Choose a style"],
  ["?", "This card"],
];
/** @type {Record<string, string>} */
const ACTIONS = {
  b: "bypass",
  " ": "bypass",
  f: "freeze",
  Escape: "black",
  r: "record",
  s: "snapshot",
  "?": "keys",
};
const TEXT = "textarea, select, input:not([type=range], [type=radio], [type=checkbox])";
const PRESSED_BY_SPACE = "button, summary, a, [role=button], [type=radio], [type=checkbox]";

/**
 * Listen to the keyboard.
 *
 * @param {(action: string) => void} act
 * @param {(number: number) => void} pickStyle
 */
export function listen(act, pickStyle) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    const target = /** @type {HTMLElement} */ (event.target);
    if (document.querySelector("dialog[open]")) return;
    if (event.key !== "Escape" && target.matches(TEXT)) return;
    if (event.key === " " && target.closest(PRESSED_BY_SPACE)) return;
    const action = ACTIONS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (action) {
      event.preventDefault();
      act(action);
    } else if (/^[1-9]$/.test(event.key)) {
      pickStyle(Number(event.key));
    }
  });
  // A press of the mouse leaves no focus behind, so that Space stays what the card says.
  document.addEventListener("click", (event) => {
    const target = /** @type {HTMLElement} */ (event.target).closest(
      "button, label, summary, [type=range], [type=radio], [type=checkbox]",
    );
    if (event.detail > 0 && target && !target.closest("dialog")) {
      const held = /** @type {HTMLElement | null} */ (document.activeElement);
      if (held?.matches("button, summary, [type=range], [type=radio], [type=checkbox]")) held.blur();
    }
  });
}

/** Make the card that lists the keys; `showModal` shows it. */
export function keyCard() {
  const rows = CARD.flatMap(([keys, says]) => [
    element("dt", {}, ...keys.split(/( or | – )/).map(keyOrWord)),
    element("dd", { text: says }),
  ]);
  const card = element("dialog", { class: "card", "aria-labelledby": "card-title" });
  card.append(
    element(
      "div",
      { class: "sheet-head" },
      element("h2", { id: "card-title", text: "Keys" }),
      button({ icon: "close", label: "Close", class: "icon-button", press: () => card.close() }),
    ),
    element("dl", {}, ...rows),
    element("p", { class: "quiet", text: "Double click a control to reset it, the small picture to swap." }),
  );
  card.addEventListener("click", (/** @type {Event} */ event) => event.target === card && card.close());
  return card;
}

/** @param {string} part */
function keyOrWord(part) {
  return element(/^( or | – )$/.test(part) ? "span" : "kbd", { text: part });
}
