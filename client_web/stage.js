// @ts-check
/** The two pictures and where they stand; knows nothing of sessions. */

import { clamp, draggable } from "./drag.js";
import { element } from "./element.js";
import { settings } from "./memory.js";

const NARROWEST = 0.2;
/** @typedef {{isSide: boolean, isSwapped: boolean, split: number, x: number, y: number}} Layout */
/** @type {Layout} */
const AT_FIRST = { isSide: false, isSwapped: false, split: 0.5, x: 1, y: 1 };

/**
 * The output stands in the light; the input lies over its corner, or beside it. Until the first
 * output comes, the input is shown in its place. Event "first" when it has come.
 */
export class Stage extends EventTarget {
  /** @param {HTMLElement} place @param {boolean} [isAlone] no input stands beside the output */
  constructor(place, isAlone = false) {
    super();
    this.place = place;
    this.isAlone = isAlone;
    /** @type {Layout} */
    this.layout = { ...AT_FIRST, ...(isAlone ? {} : settings.read("layout")) };
    this.output = video("The redrawn picture");
    this.plain = video("Your picture");
    this.input = video("Your picture");
    this.held = element("canvas", { class: "held", hidden: true, "aria-hidden": "true" });
    this.black = element("div", { class: "black" }, element("span", { text: "Black" }));
    this.outputTile = tile("output", "redrawn", this.plain, this.output, this.held, this.black);
    this.inputTile = tile("input", "camera", this.input);
    this.word = this.inputTile.querySelector(".tile-word");
    this.divider = element("div", {
      class: "divider",
      role: "separator",
      tabindex: 0,
      "aria-orientation": "vertical",
      "aria-label": "Divider between input and output",
      "aria-valuemin": NARROWEST * 100,
      "aria-valuemax": 100 - NARROWEST * 100,
    });
    place.append(this.outputTile, this.divider, this.inputTile);
    this.inputTile.hidden = this.divider.hidden = isAlone;
    for (const one of [this.inputTile, this.outputTile]) this.#move(one);
    this.#split();
    this.arrange();
    this.output.addEventListener("resize", () => this.#follow());
  }

  /** @param {{width: number, height: number}} size of the model's picture */
  size({ width, height }) {
    this.place.style.setProperty("--aspect", String(width / height));
  }

  /** @param {import("./capture.js").Source} source shown as it is */
  showInput(source) {
    for (const one of [this.plain, this.input]) {
      one.srcObject = source.stream;
      one.classList.toggle("is-mirrored", source.isMirrored);
      play(one);
    }
    this.word.textContent = { camera: "camera", screen: "screen", file: "file" }[source.kind];
  }

  /** @param {MediaStream} stream that the server sends */
  showOutput(stream) {
    this.output.srcObject = stream;
    play(this.output);
    const come = () => {
      if (this.output.srcObject !== stream) return;
      this.held.hidden = true;
      this.place.dataset.has = "output";
      this.dispatchEvent(new CustomEvent("first"));
    };
    if (this.output.requestVideoFrameCallback) this.output.requestVideoFrameCallback(come);
    else this.output.addEventListener("loadeddata", come, { once: true });
  }

  /** Keep the last picture up while there is no connection. */
  hold() {
    const { videoWidth: width, videoHeight: height } = this.output;
    if (!width || this.place.dataset.has !== "output" || !this.held.hidden) return;
    Object.assign(this.held, { width, height });
    this.held.getContext("2d").drawImage(this.output, 0, 0);
    this.held.hidden = false;
  }

  clear() {
    this.place.dataset.has = "";
    this.held.hidden = true;
    for (const one of [this.plain, this.input, this.output]) one.srcObject = null;
  }

  /** @param {string} mode shown at once, whatever the server does */
  mode(mode) {
    this.place.dataset.mode = mode;
  }

  toggleSide() {
    this.change({ isSide: !this.layout.isSide });
  }

  swap() {
    this.change({ isSwapped: !this.layout.isSwapped });
  }

  /** @param {Partial<Layout>} part */
  change(part) {
    if (this.isAlone) return;
    this.layout = { ...this.layout, ...part };
    settings.write("layout", this.layout);
    this.arrange();
  }

  arrange() {
    const { isSide, isSwapped, split, x, y } = this.layout;
    this.place.dataset.layout = isSide ? "side" : "over";
    const [main, small] = isSwapped
      ? [this.inputTile, this.outputTile]
      : [this.outputTile, this.inputTile];
    main.dataset.role = "main";
    small.dataset.role = "small";
    const names = isSide ? [null, null] : [null, "Small picture: Enter swaps, arrow keys move it"];
    [main, small].forEach((one, index) => describe(one, names[index]));
    this.place.style.setProperty("--split", String(split));
    this.place.style.setProperty("--x", String(x));
    this.place.style.setProperty("--y", String(y));
    this.divider.setAttribute("aria-valuenow", String(Math.round(split * 100)));
    this.dispatchEvent(new CustomEvent("layout"));
  }

  /** @param {HTMLElement} one of the tiles, which moves while it is the small one */
  #move(one) {
    const isSmall = () => !this.layout.isSide && one.dataset.role === "small";
    const room = () => {
      const [all, own] = [this.place, one].map((each) => each.getBoundingClientRect());
      return { width: all.width - own.width, height: all.height - own.height };
    };
    const moved = (/** @type {number} */ dx, /** @type {number} */ dy) => {
      if (!isSmall()) return;
      const { x, y } = this.layout;
      Object.assign(this.layout, { x: clamp(x + dx, 0, 1), y: clamp(y + dy, 0, 1) });
      this.place.style.setProperty("--x", String(this.layout.x));
      this.place.style.setProperty("--y", String(this.layout.y));
    };
    draggable(one, room, moved, () => isSmall() && settings.write("layout", this.layout));
    one.addEventListener("dblclick", () => this.swap());
    one.addEventListener("keydown", (event) => event.key === "Enter" && isSmall() && this.swap());
  }

  #split() {
    draggable(
      this.divider,
      () => this.place.getBoundingClientRect(),
      (dx) => {
        const split = clamp(this.layout.split + dx, NARROWEST, 1 - NARROWEST);
        this.layout = { ...this.layout, split };
        this.place.style.setProperty("--split", String(split));
        this.divider.setAttribute("aria-valuenow", String(Math.round(split * 100)));
      },
      () => settings.write("layout", this.layout),
    );
    this.divider.addEventListener("dblclick", () => this.change({ split: 0.5 }));
  }

  /** The picture that comes is what counts, whatever was said about it. */
  #follow() {
    const { videoWidth: width, videoHeight: height } = this.output;
    if (width && height) this.size({ width, height });
  }
}

/** @param {string} label */
function video(label) {
  const made = element("video", { playsinline: true, autoplay: true, "aria-label": label });
  made.muted = true;
  made.disablePictureInPicture = true;
  return made;
}

/** @param {HTMLVideoElement} one */
function play(one) {
  one.play().catch(() => {}); // interrupted by the next source: that one plays
}

/** @param {string} name @param {string} word @param {...HTMLElement} layers */
function tile(name, word, ...layers) {
  const shown = element("span", { class: "tile-word", text: word, "aria-hidden": "true" });
  const picture = element("div", { class: "picture" }, ...layers, shown);
  return element("div", { class: `tile ${name}` }, picture);
}

/** @param {HTMLElement} one @param {string | null} name null: it takes no part in the keyboard */
function describe(one, name) {
  for (const [key, value] of Object.entries({ role: "button", tabindex: "0", "aria-label": name })) {
    if (name && value) one.setAttribute(key, value);
    else one.removeAttribute(key);
  }
}
