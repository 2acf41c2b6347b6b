// @ts-check
/** The page as a whole: who hears from whom; every part is in a module of its own. */

import { refit } from "./capture.js";
import { Controls } from "./controls.js";
import { byId } from "./element.js";
import { keyCard, listen } from "./keys.js";
import { layoutTools } from "./layouts.js";
import { visit } from "./memory.js";
import { Meter } from "./meter.js";
import { Notices } from "./notices.js";
import { Prompt } from "./prompt.js";
import { Recorder } from "./recorder.js";
import { Session } from "./session.js";
import { Sheet } from "./sheet.js";
import { Sizes } from "./sizes.js";
import { Sources } from "./sources.js";
import { Stage } from "./stage.js";
import { Still } from "./still.js";
import { Strip } from "./strip.js";
import { Styles } from "./styles.js";
import { Values } from "./values.js";
import { MODE_WORDS, WORDS } from "./words.js";

/** How long a mode that was chosen here counts for more than a report on its way. */
const REPORT_MS = 1500;

/** Event "token": the server does not take the one that it was given. */
export class App extends EventTarget {
  /** @param {import("./api.js").Api} api @param {any} about @param {import("./bar.js").Bar} bar */
  constructor(api, about, bar) {
    super();
    this.bar = bar;
    this.mode = "live";
    this.mode_ms = 0;
    /** @type {import("./capture.js").Source | null} */
    this.source = null;
    this.session = new Session(api, () => this.#wish());
    /** @type {import("./messages.js").Messages} */
    const messages = this.session.messages;
    this.sizes = new Sizes(about.sizes, messages, bar);
    this.values = new Values(about.schema, about.model, (changes, isLive) =>
      messages.patch(changes, isLive),
    );
    this.stage = new Stage(byId("panes"));
    this.stage.size(this.sizes.now);
    this.meter = new Meter(this.stage.output, messages);
    this.recorder = new Recorder(this.stage.output);
    this.sheet = new Sheet(byId("sheet"), (isOpen) => this.#sheetToggled(isOpen));
    this.strip = new Strip(byId("strip"), (name) => this.act(name), () => this.sheet.toggle());
    this.sources = new Sources(bar, {
      size: () => this.sizes.now,
      opened: (source) => this.#use(source),
      stop: () => this.stop(),
    });
    this.notices = new Notices({
      bar,
      session: this.session,
      strip: this.strip,
      caption: byId("caption"),
      announcer: byId("announcer"),
      leave: () => this.stop(),
      smaller: () => this.sizes.smaller(),
    });
    this.card = keyCard();
    document.body.append(this.card);
    const { understands } = about;
    const still = new Still(byId("still"), understands);
    this.styles = new Styles(understands?.styles ?? [], (style) => this.prompt.style(style));
    this.prompt = new Prompt(this.values, understands, (style) => {
      this.styles.show(style);
      still.show(style);
    });
    const controls = new Controls(this.values, understands);
    controls.put("Speed", ...this.sizes.rows);
    byId("panel-prompt").append(this.prompt.element);
    byId("panel-groups").append(controls.element);
    layoutTools(this.stage, () => this.act("keys"));
    this.#hearServer();
    this.#hearPage();
    this.#show("start");
  }

  /** @param {string} name of an action, as the strip and the keys know it */
  act(name) {
    if (name === "keys") return this.card.showModal();
    if (name === "black" && this.sheet.isOpen) return this.sheet.close();
    if (document.body.dataset.view === "start") return;
    if (name === "record") return this.#say(this.recorder.toggle());
    if (name === "snapshot") return this.#say(this.recorder.snapshot());
    this.#setMode(this.mode === name ? "live" : name);
    this.mode_ms = performance.now();
    this.session.messages.output(this.mode);
  }

  /** Give everything back and stand at the start again. */
  stop() {
    if (this.recorder.isOn) this.recorder.toggle();
    this.session.stop();
    this.source?.stop();
    this.source = null;
    this.stage.clear();
    this.meter.attach(null);
    this.bar.clearAll();
    this.sheet.close();
    this.sources.mark("");
    this.#setMode("live");
    this.#show("start");
  }

  /**
   * What is asked of the server: all settings at first; when resuming, what changed since.
   *
   * @returns {import("./session.js").Wish}
   */
  #wish() {
    const { unsent } = this.values;
    const isNew = !visit.read("resume");
    const later = Object.keys(unsent).length ? unsent : undefined;
    return {
      controls: isNew ? this.values.changed() : later,
      size: this.sizes.now,
      mirror: this.source?.isMirrored ?? false,
    };
  }

  #hearServer() {
    const { session, stage } = this;
    const { messages } = session;
    on(session, "state", ({ state, status }) => this.#stateChanged(state, status));
    on(session, "opened", (answer) => this.#opened(answer));
    on(session, "ready", () => {
      this.values.flush();
      if (this.mode !== "live") messages.output(this.mode);
    });
    on(session, "stream", (stream) => stage.showOutput(stream));
    on(messages, "patched", (answer) => this.values.confirm(answer));
    on(messages, "refused", () => this.values.undo());
    on(messages, "controls", ({ controls }) => this.values.adopt(controls));
    on(messages, "status", (status) => {
      const isOld = performance.now() - this.mode_ms < REPORT_MS;
      if (status.output && !isOld) this.#setMode(status.output);
    });
  }

  #hearPage() {
    on(this.stage, "first", () => this.session.arrive());
    on(this.sizes, "change", () => this.source && refit(this.source, this.sizes.now));
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
    window.addEventListener("pageshow", (event) => event.persisted && this.stop());
    listen(
      (name) => this.act(name),
      (number) => {
        const style = this.styles.pick(number);
        if (style) this.notices.announce(style.name);
      },
    );
  }

  /** @param {import("./capture.js").Source} source */
  #use(source) {
    const before = this.source;
    this.source = source;
    before?.stop();
    source.track.addEventListener("ended", () => this.source === source && this.#ended(source));
    this.stage.showInput(source);
    this.#show("live");
    if (!before) return this.session.start(source.track);
    const mustReopen = before.isMirrored !== source.isMirrored;
    if (mustReopen) this.stage.hold();
    this.session.replace(source.track, mustReopen);
  }

  /** @param {import("./capture.js").Source} source that gives nothing any more */
  #ended(source) {
    const isScreen = source.kind === "screen";
    this.stop();
    const says = isScreen ? WORDS.screenEnded : WORDS.cameraEnded;
    const offers = this.sources.offers("camera", "screen", "file");
    this.bar.show("capture", { level: isScreen ? "info" : "error", says, offers });
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
      this.stop();
      this.dispatchEvent(new CustomEvent("token"));
    }
  }

  /** @param {any} answer */
  #opened({ controls, stream, output }) {
    this.values.begin(controls);
    this.meter.attach(this.session.peer?.connection ?? null);
    this.sizes.take(stream);
    this.stage.size(stream);
    if (this.mode === "live" && output) this.#setMode(output);
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

  /** @param {"start" | "live"} view */
  #show(view) {
    document.body.dataset.view = view;
    byId(view === "start" ? "start-styles" : "panel-styles").append(this.styles.element);
  }
}

/** @param {EventTarget} target @param {string} type @param {(detail: any) => void} then */
function on(target, type, then) {
  target.addEventListener(type, (event) => then(/** @type {CustomEvent} */ (event).detail));
}
