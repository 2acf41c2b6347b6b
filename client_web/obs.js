// @ts-check
/** The card "Show in OBS": an address for a Browser Source, and the recording on the server. */

import { ApiError } from "./api.js";
import { on } from "./desk.js";
import { button, byId, element } from "./element.js";
import { Tape } from "./tape.js";
import { WORDS } from "./words.js";

const A_DAY_S = 86_400;
const NAME = "[A-Za-z0-9][A-Za-z0-9_\\-]{0,39}";
const COPIED_MS = 2000;

export class ObsCard {
  /**
   * @param {object} given
   * @param {import("./api.js").Api} given.api
   * @param {import("./desk.js").Desk} given.desk
   * @param {boolean} given.isGuarded whether a viewer needs a pass
   * @param {string} given.asked name that the address of the page asks for, or empty
   */
  constructor({ api, desk, isGuarded, asked }) {
    this.api = api;
    this.desk = desk;
    this.isGuarded = isGuarded;
    this.name = "";
    this.pass = "";
    this.tape = new Tape(api);
    const [word, press] = ["Show in OBS", () => this.#open()];
    this.tool = button({ icon: "obs", word, label: word, class: "tool obs-tool", press });
    this.tool.hidden = true;
    byId("layouts").prepend(this.tool);
    this.url = element("input", {
      class: "line",
      readonly: true,
      "aria-label": "Address for OBS",
      onfocus: () => this.url.select(),
    });
    this.copy = button({ word: "Copy", class: "small main-button", press: () => this.#copy() });
    this.how = element("p", { class: "quiet" });
    this.tapeButton = button({ word: "Record", class: "small plain-button", press: () => this.tape.toggle() });
    this.tapeSays = element("p", { class: "quiet", role: "status" });
    this.card = this.#card(asked);
    document.body.append(this.card);
    on(this.tape, "change", () => this.#taped());
    on(desk.session.messages, "status", ({ is_recording: isOn }) => this.name && this.tape.hear(isOn));
    on(desk.session, "state", ({ state }) => {
      if (state === "idle" || state === "ended") this.#hide();
    });
    this.#taped();
  }

  /** @param {string} name of the stream that runs now */
  show(name) {
    if (name !== this.name) this.pass = "";
    this.name = name;
    this.tape.of(name);
    this.tool.hidden = false;
  }

  #hide() {
    this.tool.hidden = true;
    this.name = "";
    this.tape.of("");
    this.card.close();
  }

  async #open() {
    this.card.showModal();
    this.#say("");
    if (!this.isGuarded || this.pass) return this.#address();
    this.url.value = "";
    this.copy.disabled = true;
    const { name } = this;
    const wish = { stream: name, rights: ["view"], ttl_s: A_DAY_S };
    try {
      const { token } = await this.api.post("/v1/tokens", wish);
      if (name === this.name) this.pass = token;
      this.#address();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      const isRefused = error.status === 401 || error.status === 403;
      this.#say(isRefused ? WORDS.mayNotShare : error.says);
    }
  }

  #address() {
    const pass = this.pass && `&token=${this.pass}`;
    this.url.value = `${location.origin}/viewer#stream=${encodeURIComponent(this.name)}${pass}`;
    this.copy.disabled = false;
    const { videoWidth, videoHeight } = this.desk.stage.output;
    this.#say(WORDS.inObs(videoWidth, videoHeight, Boolean(this.pass)));
  }

  /** @param {string} says */
  #say(says) {
    this.how.textContent = says;
  }

  async #copy() {
    this.url.select();
    const copied = navigator.clipboard?.writeText(this.url.value) ?? Promise.reject();
    const isDone = await copied.then(
      () => true,
      () => document.execCommand("copy"), // of a page that is not https
    );
    const word = /** @type {HTMLElement} */ (this.copy.firstElementChild);
    word.textContent = isDone ? WORDS.copied : WORDS.notCopied;
    setTimeout(() => (word.textContent = "Copy"), COPIED_MS);
  }

  #taped() {
    const { tape } = this;
    const word = /** @type {HTMLElement} */ (this.tapeButton.firstElementChild);
    word.textContent = tape.isOn ? "Stop recording" : "Record";
    this.tapeSays.textContent = tape.says;
    this.tapeSays.classList.toggle("tape", tape.isOn);
    this.desk.strip.taping(tape.isOn ? tape.says : "");
  }

  /** @param {string} asked @returns {HTMLDialogElement} */
  #card(asked) {
    const close = () => card.close();
    const card = element("dialog", { class: "card obs", "aria-labelledby": "obs-title" });
    card.append(
      element(
        "div",
        { class: "sheet-head" },
        element("h2", { id: "obs-title", text: "Show in OBS" }),
        button({ icon: "close", label: "Close", class: "icon-button", press: close }),
      ),
      element("div", { class: "field" }, this.url, this.copy),
      this.how,
      ...(asked ? [] : [this.#naming()]),
      element("h3", { text: "Record on the server" }),
      element("div", { class: "field" }, this.tapeSays, this.tapeButton),
    );
    card.addEventListener("click", (/** @type {Event} */ event) => event.target === card && close());
    return card;
  }

  /** A form for a name that stays, where the address would change with every visit. */
  #naming() {
    const field = element("input", {
      class: "line",
      pattern: NAME,
      required: true,
      maxlength: 40,
      autocomplete: "off",
      spellcheck: "false",
      placeholder: "my-stream",
      title: "Letters, digits, - and _",
      "aria-label": "Name of the stream",
    });
    const use = button({ word: "Use this name", class: "small plain-button", press: () => {} });
    use.type = "submit";
    const form = element("form", { class: "field" }, field, use);
    form.addEventListener("submit", (/** @type {Event} */ event) => {
      event.preventDefault();
      location.search = `?as=${field.value.trim().toLowerCase()}`;
    });
    return element("div", {}, element("h3", { text: "Keep this address" }), element("p", { class: "quiet", text: WORDS.naming }), form);
  }
}
