// @ts-check
/** The tools at the right of the top: how the pictures stand, full screen, keys. */

import { button, byId } from "./element.js";
import { fullScreen } from "./full.js";

/**
 * @param {import("./stage.js").Stage} stage
 * @param {() => void} showKeys
 */
export function layoutTools(stage, showKeys) {
  const toggleFull = fullScreen(document.documentElement);
  const side = button({
    icon: "side",
    label: "Input and output side by side",
    class: "tool",
    press: () => stage.toggleSide(),
  });
  const swap = button({ icon: "swap", label: "Swap", class: "tool is-spare", press: () => stage.swap() });
  const full = button({ icon: "full", label: "Full screen", class: "tool", press: toggleFull });
  const keys = button({ icon: "keys", label: "Keys (?)", class: "tool is-spare", press: showKeys });
  full.hidden = !document.fullscreenEnabled;
  side.hidden = swap.hidden = stage.isAlone;
  const mark = () => side.setAttribute("aria-pressed", String(stage.layout.isSide));
  stage.addEventListener("layout", mark);
  mark();
  byId("layouts").append(side, swap, full, keys);
}
