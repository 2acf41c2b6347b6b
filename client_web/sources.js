// @ts-check
/** Choosing the source: the buttons of the start, those of the top, and words for failures. */

import { cameras, isSecure, openCamera, openFile, openScreen } from "./capture.js";
import { button, byId, element } from "./element.js";
import { settings } from "./memory.js";
import { WORDS, captureWords } from "./words.js";

/** @typedef {"camera" | "screen" | "file"} Kind */

export class Sources {
  /**
   * @param {import("./bar.js").Bar} bar
   * @param {object} page
   * @param {() => {width: number, height: number}} page.size of the model's picture
   * @param {(source: import("./capture.js").Source) => void} page.opened
   * @param {() => void} page.stop
   */
  constructor(bar, { size, opened, stop }) {
    this.bar = bar;
    this.size = size;
    this.opened = opened;
    this.file = byId("file");
    this.file.addEventListener("change", () => this.#useFile(this.file.files[0]));
    this.startCamera = button({
      icon: "camera",
      word: "Start camera",
      class: "main-button",
      press: () => this.use("camera"),
    });
    byId("starts").replaceChildren(this.startCamera, this.#start("screen"), this.#start("file"));
    /** @type {Record<Kind, HTMLButtonElement>} */
    this.tools = {
      camera: this.#tool("camera", "Camera"),
      screen: this.#tool("screen", "Screen"),
      file: this.#tool("file", "File"),
    };
    this.devices = element("select", {
      hidden: true,
      "aria-label": "Which camera",
      onchange: () => this.use("camera", this.devices.value),
    });
    const leave = button({ icon: "stop", word: "Stop", label: "Stop", class: "tool", press: stop });
    byId("sources").replaceChildren(...Object.values(this.tools), this.devices, leave);
    navigator.mediaDevices?.addEventListener?.("devicechange", () => this.#list());
    this.#takeDrops();
  }

  /** @param {Kind} kind @param {string} [device] */
  async use(kind, device = settings.read("camera") ?? "") {
    if (kind === "file") return this.file.click();
    this.#wait(kind === "camera");
    try {
      const isCamera = kind === "camera";
      this.#open(await (isCamera ? openCamera(this.size(), device) : openScreen()));
    } catch (error) {
      this.#fail(kind, error);
    } finally {
      this.#wait(false);
    }
  }

  /** @param {Kind | ""} kind that is being used */
  mark(kind) {
    for (const [name, tool] of Object.entries(this.tools)) {
      tool.setAttribute("aria-pressed", String(name === kind));
    }
    if (kind !== "camera") this.devices.hidden = true;
  }

  /** @param {...Kind} kinds */
  offers(...kinds) {
    const words = { camera: "Start camera", screen: "Share screen", file: "Use a file" };
    return kinds.map((kind) => ({ word: words[kind], press: () => void this.use(kind) }));
  }

  /** @param {import("./capture.js").Source} source */
  #open(source) {
    this.bar.clear("capture");
    this.mark(source.kind);
    if (source.kind === "camera") {
      settings.write("camera", source.device);
      this.#list(source.device);
    }
    this.opened(source);
  }

  /** @param {File | undefined} file */
  async #useFile(file) {
    this.file.value = "";
    if (!file) return;
    try {
      this.#open(await openFile(file, this.size()));
    } catch {
      const offers = this.offers("file", "camera");
      this.bar.show("capture", { level: "error", says: WORDS.notAPicture, help: file.name, offers });
    }
  }

  /** @param {Kind} kind @param {any} error */
  #fail(kind, error) {
    if (kind === "screen" && error.name === "NotAllowedError" && isSecure()) return; // changed their mind
    const place = { isSecure: window.isSecureContext, agent: navigator.userAgent };
    const words = captureWords(error, place);
    const again = words.canRetry && {
      word: "Try again",
      isMain: true,
      press: () => void this.use(kind),
    };
    const others = isSecure() ? this.offers("screen", "file") : this.offers("file");
    const offers = [again, ...others].filter(Boolean);
    this.bar.show("capture", /** @type {any} */ ({ level: "error", offers, ...words }));
  }

  /** @param {boolean} isAsking whether the browser asks its user now */
  #wait(isAsking) {
    this.startCamera.setAttribute("aria-busy", String(isAsking));
    const word = this.startCamera.querySelector("span");
    if (word) word.textContent = isAsking ? "Allow the camera…" : "Start camera";
  }

  /** @param {string} [chosen] */
  async #list(chosen = this.devices.value) {
    const found = await cameras();
    const options = found.map((camera, index) =>
      element("option", { value: camera.deviceId, text: camera.label || `Camera ${index + 1}` }),
    );
    this.devices.replaceChildren(...options);
    this.devices.value = chosen;
    this.devices.hidden = found.length < 2 || this.tools.camera.ariaPressed !== "true";
  }

  /** @param {Kind} kind */
  #start(kind) {
    const [offer] = this.offers(kind);
    return button({ icon: kind, word: offer.word, class: "plain-button", press: offer.press });
  }

  /** @param {Kind} kind @param {string} word */
  #tool(kind, word) {
    const made = button({ icon: kind, word, label: word, class: "tool", press: () => this.use(kind) });
    made.setAttribute("aria-pressed", "false");
    return made;
  }

  #takeDrops() {
    document.addEventListener("dragover", (event) => event.preventDefault());
    document.addEventListener("drop", (event) => {
      event.preventDefault();
      this.#useFile(event.dataTransfer?.files[0]);
    });
  }
}
