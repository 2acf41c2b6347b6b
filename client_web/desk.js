// @ts-check
/** The picture, the line under it and its buttons: for who is drawn, and for who watches. */

import { byId } from "./element.js";
import { keyCard, listen } from "./keys.js";
import { layoutTools } from "./layouts.js";
import { Meter } from "./meter.js";
import { Notices } from "./notices.js";
import { Recorder } from "./recorder.js";
import { Sheet } from "./sheet.js";
import { Stage } from "./stage.js";
import { Strip } from "./strip.js";
import { MODE_WORDS, WORDS } from "./words.js";

/** How long a mode that was chosen here counts for more than a report on its way. */
const REPORT_MS = 1500;

/** Events: "token" (the server does not take the one it was given), "style" (detail: its number). */
export class Desk extends EventTarget {
  /**
   * @param {object} given
   * @param {import("./session.js").Session} given.session
   * @param {import("./bar.js").Bar} given.bar
   * @param {boolean} given.isAlone whether no input is shown beside the output
   * @param {() => void} given.leave
   * @param {() => {word: string, press: () => void} | null} given.smaller size that could be offered
   */
  constructor({ session, bar, isAlone, leave, smaller }) {
    super();
    this.session = session;
    this.bar = bar;
    this.leave = leave;
    this.mode = "live";
    this.mode_ms = 0;
    this.maySteer = true;
    this.stage = new Stage(byId("panes"), isAlone);
    this.meter = new Meter(this.stage.output, session.messages);
    this.recorder = new Recorder(this.stage.output);
    this.sheet = new Sheet(byId("sheet"), (isOpen) => this.#sheetToggled(isOpen));
    this.strip = new Strip(byId("strip"), (name) => this.act(name), () => this.sheet.toggle());
    const [caption, announcer] = [byId("caption"), byId("announcer")];
    const { strip } = this;
    this.notices = new Notices({ bar, session, strip, caption, announcer, leave, smaller });
    this.card = keyCard();
    document.body.append(this.card);
    layoutTools(this.stage, () => this.act("keys"));
    this.#hearServer();
    this.#hearPage();
  }

  /** @param {string} name of an action, as the strip and the keys know it */
  act(name) {
    if (name === "keys") return this.card.showModal();
    if (name === "black" && this.sheet.isOpen) return this.sheet.close();
    if (document.body.dataset.view === "start") return;
    if (name === "record") return this.#say(this.recorder.toggle());
    if (name === "snapshot") return this.#say(this.recorder.snapshot());
    if (!this.maySteer) return this.#say(WORDS.readOnly);
    this.#setMode(this.mode === name ? "live" : name);
    this.mode_ms = performance.now();
    this.session.messages.output(this.mode);
  }

  /** Take everything off the stage. */
  clear() {
    if (this.recorder.isOn) this.recorder.toggle();
    this.session.stop();
    this.stage.clear();
    this.meter.attach(null);
    this.bar.clearAll();
    this.sheet.close();
    this.#setMode("live");
  }

  /** @param {boolean} maySteer whether this page may say what goes out */
  permit(maySteer) {
    this.maySteer = maySteer;
    this.strip.permit(maySteer);
  }

  #hearServer() {
    const { session, stage } = this;
    const { messages } = session;
    on(session, "state", ({ state, status }) => this.#stateChanged(state, status));
    on(session, "opened", ({ stream, output }) => {
      this.meter.attach(session.peer?.connection ?? null);
      stage.size(stream);
      if (output && (this.mode === "live" || !this.maySteer)) this.#setMode(output);
    });
    on(session, "ready", () => this.mode !== "live" && this.maySteer && messages.output(this.mode));
    on(session, "stream", (stream) => stage.showOutput(stream));
    on(messages, "status", (status) => {
      const isOld = performance.now() - this.mode_ms < REPORT_MS;
      if (status.output && !isOld) this.#setMode(status.output);
    });
    on(stage, "first", () => session.arrive());
  }

  #hearPage() {
    on(this.meter, "sample", (sample) => {
      if (this.session.state !== "live") return;
      this.strip.measure(sample);
      this.sheet.show(this.meter.samples);
    });
    on(this.recorder, "tick", ({ isOn, time }) => {
      this.strip.recording(isOn, time);
      document.title = isOn ? "● streamgen" : "streamgen";
    });
    on(this.recorder, "saved", (name) => this.notices.brief(WORDS.saved(name)));
    window.addEventListener("pagehide", () => this.session.leave());
    window.addEventListener("pageshow", (event) => event.persisted && this.leave());
    listen(
      (name) => this.act(name),
      (number) => this.dispatchEvent(new CustomEvent("style", { detail: number })),
    );
  }

  /** @param {string} state @param {number | undefined} status of the answer that ended it */
  #stateChanged(state, status) {
    document.body.dataset.state = state;
    if (state === "lost" || state === "ended") {
      this.stage.hold();
      this.meter.attach(null);
    }
    if (state === "live") navigator.wakeLock?.request("screen").catch(() => {}); // a nicety
    if (status === 401) {
      this.leave();
      this.dispatchEvent(new CustomEvent("token"));
    }
  }

  /** @param {string} mode */
  #setMode(mode) {
    if (mode === this.mode) return;
    this.notices.announce(MODE_WORDS[mode] ?? mode);
    this.mode = mode;
    this.stage.mode(mode);
    this.strip.mode(mode);
  }

  /** @param {boolean} isOpen */
  #sheetToggled(isOpen) {
    this.strip.meter.setAttribute("aria-expanded", String(isOpen));
    this.sheet.show(this.meter.samples);
  }

  /** @param {string | null} why something was not done */
  #say(why) {
    if (why) this.notices.brief(why);
  }
}

/** @param {EventTarget} target @param {string} type @param {(detail: any) => void} then */
export function on(target, type, then) {
  target.addEventListener(type, (event) => then(/** @type {CustomEvent} */ (event).detail));
}
