// @ts-check
/** The line under the stage: what runs, how fast, and the five buttons; decides nothing. */

import { button, element, icon } from "./element.js";
import { PARTS } from "./meter.js";
import { WORDS } from "./words.js";

/** @type {[string, string, string, string][]} name, icon, word, key */
const ACTIONS = [
  ["bypass", "bypass", "Bypass", "B"],
  ["freeze", "freeze", "Freeze", "F"],
  ["black", "panic", "Panic", "Esc"],
  ["record", "record", "Record", "R"],
  ["snapshot", "snapshot", "Snapshot", "S"],
];
const FAIR_RTT_MS = 120;
const FAIR_LOSS = 0.02;

export class Strip {
  /**
   * @param {HTMLElement} place
   * @param {(name: string) => void} act
   * @param {() => void} openSheet
   */
  constructor(place, act, openSheet) {
    this.state = element("span", { class: "state" });
    this.dot = element("span", { class: "dot", "data-health": "none", "aria-hidden": "true" });
    this.fps = element("b", { class: "figure", text: "–" });
    this.total = element("b", { class: "figure", text: "–" });
    this.segments = PARTS.map((part) => element("span", { class: `part ${part}` }));
    this.lost = element("span", { class: "lost", hidden: true });
    this.facts = element("span", { class: "facts" });
    this.stack = element("span", { class: "stack", "aria-hidden": "true" }, ...this.segments);
    this.words = element("span", { class: "unseen", text: "No latency measured yet" });
    this.meter = element(
      "button",
      { type: "button", class: "meter", "aria-expanded": "false", onclick: openSheet },
      figure(this.fps, "fps"),
      figure(this.total, "ms"),
      this.stack,
      this.words,
    );
    /** @type {Record<string, HTMLButtonElement>} */
    this.buttons = Object.fromEntries(ACTIONS.map((action) => [action[0], actionButton(action, act)]));
    this.tape = element("span", { class: "tape", hidden: true });
    const about = element("div", { class: "about" }, this.tape, this.lost, this.facts);
    place.append(
      element("div", { class: "health" }, this.dot, this.state),
      this.meter,
      about,
      element(
        "div",
        { class: "actions", role: "group", "aria-label": "Output" },
        ...Object.values(this.buttons),
      ),
    );
  }

  /** @param {import("./meter.js").Sample} sample */
  measure({ fps, split, total, loss, rtt }) {
    this.fps.textContent = fps < 9.95 ? fps.toFixed(1) : String(Math.round(fps));
    this.total.textContent = String(Math.round(total));
    PARTS.forEach((part, index) => {
      this.segments[index].style.flexGrow = String(Math.max(split[part], 0.01));
    });
    const said = PARTS.map((part) => `${part} ${Math.round(split[part])}`).join(", ");
    this.meter.title = `${said} ms. Click for the last minute.`;
    this.words.textContent = `Latency in ms: ${said}. Open the last minute.`;
    this.dot.dataset.health = rtt > FAIR_RTT_MS || loss > FAIR_LOSS ? "fair" : "good";
  }

  /** @param {string} word @param {boolean} isConnected */
  say(word, isConnected) {
    this.state.textContent = word;
    this.stack.classList.toggle("is-empty", !isConnected);
    if (!isConnected) {
      this.dot.dataset.health = "none";
      this.fps.textContent = this.total.textContent = "–";
    } else if (this.dot.dataset.health === "none") {
      this.dot.dataset.health = "good";
    }
  }

  /** @param {any} status what the server says twice a second */
  status(status) {
    const size = `${status.width} × ${status.height}`;
    const { upcoming } = status;
    const coming = upcoming && WORDS.upcoming(upcoming);
    // What changes soon comes first: the end of a long line is cut off.
    const { model, motion, backend, precision } = status;
    const facts = [coming, model, motion, size, backend, precision].filter(Boolean);
    this.facts.textContent = facts.join(" · ");
    const more = upcoming && (upcoming.failure ?? [upcoming.stage, upcoming.message].join(" "));
    this.facts.title = [...facts, more].filter(Boolean).join(", ");
    const dropped = Object.entries(status.dropped ?? {}).filter(([, count]) => count > 0);
    const total = dropped.reduce((sum, [, count]) => sum + Number(count), 0);
    const words = [total && `${total} dropped`, status.skipped && `${status.skipped} skipped`];
    this.lost.textContent = words.filter(Boolean).join(" · ");
    this.lost.hidden = !this.lost.textContent;
    this.lost.title = dropped.map(([reason, count]) => `${reason}: ${count}`).join(", ");
  }

  /** @param {string} mode */
  mode(mode) {
    for (const name of ["bypass", "freeze", "black"]) {
      this.buttons[name].setAttribute("aria-pressed", String(name === mode));
    }
  }

  /** @param {boolean} maySteer whether what goes out can be changed from here */
  permit(maySteer) {
    for (const name of ["bypass", "freeze", "black"]) this.buttons[name].hidden = !maySteer;
  }

  /** @param {string} says of the recording that the server makes; empty where it makes none */
  taping(says) {
    this.tape.textContent = says;
    this.tape.hidden = !says;
  }

  /** @param {boolean} isOn @param {string} [time] */
  recording(isOn, time = "") {
    const made = this.buttons.record;
    made.setAttribute("aria-pressed", String(isOn));
    made.classList.toggle("is-recording", isOn);
    /** @type {HTMLElement} */ (made.querySelector(".word")).textContent = isOn ? time : "Record";
    made.setAttribute("aria-label", isOn ? `Stop recording, ${time}` : "Record");
  }
}

/** @param {HTMLElement} number @param {string} unit */
function figure(number, unit) {
  return element("span", { class: "with-unit" }, number, element("small", { text: unit }));
}

/** @param {[string, string, string, string]} action @param {(name: string) => void} act */
function actionButton([name, drawing, word, key], act) {
  const made = button({ press: () => act(name), class: "action" });
  made.dataset.action = name;
  made.title = `${word} (${key})`;
  made.setAttribute("aria-keyshortcuts", key === "Esc" ? "Escape" : key);
  if (name !== "snapshot") made.setAttribute("aria-pressed", "false");
  made.append(
    icon(drawing),
    element("span", { class: "word", text: word }),
    element("kbd", { text: key, "aria-hidden": "true" }),
  );
  return made;
}
