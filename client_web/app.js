// @ts-check
/** The page of who is drawn: a source, a seat, controls and a picture; who hears from whom. */

import { refit } from "./capture.js";
import { Desk, on } from "./desk.js";
import { byId } from "./element.js";
import { visit } from "./memory.js";
import { ObsCard } from "./obs.js";
import { Offers } from "./offers.js";
import { Panel } from "./panel.js";
import { Seats } from "./seats.js";
import { Session } from "./session.js";
import { Sizes } from "./sizes.js";
import { Sources } from "./sources.js";
import { Still } from "./still.js";
import { WORDS } from "./words.js";

/** Event "token": the server does not take the one that it was given. */
export class App extends EventTarget {
  /**
   * @param {import("./api.js").Api} api
   * @param {any} about
   * @param {import("./bar.js").Bar} bar
   * @param {string} name of the stream that this page makes; empty: the server gives it one
   */
  constructor(api, about, bar, name) {
    super();
    this.bar = bar;
    this.name = name;
    /** @type {import("./capture.js").Source | null} */
    this.source = null;
    this.session = new Session(new Seats(api, () => this.#wish()));
    /** @type {import("./messages.js").Messages} */
    const messages = this.session.messages;
    this.sizes = new Sizes(about.sizes, messages, bar);
    this.desk = new Desk({
      session: this.session,
      bar,
      isAlone: false,
      leave: () => this.stop(),
      smaller: () => this.sizes.smaller(),
    });
    this.desk.stage.size(this.sizes.now);
    this.sources = new Sources(bar, {
      size: () => this.sizes.now,
      opened: (source) => this.#use(source),
      stop: () => this.stop(),
    });
    const { schema, understands, model } = about;
    const still = new Still(byId("still"), understands);
    const key = `controls.${model}`;
    const styled = still.show.bind(still);
    this.offers = new Offers(api, about.loras ?? []);
    this.panel = new Panel({ schema, understands, key, messages, styled, offers: this.offers });
    this.values = this.panel.values;
    this.#forgetGone();
    this.panel.controls.put("Speed", ...this.sizes.rows);
    this.obs = new ObsCard({ api, desk: this.desk, isGuarded: about.needs_token, asked: name });
    this.#hear();
    this.#show("start");
  }

  /** Give everything back and stand at the start again. */
  stop() {
    this.desk.clear();
    this.source?.stop();
    this.source = null;
    this.sources.mark("");
    this.#show("start");
  }

  /**
   * What is asked of the server: all settings at first; when resuming, what changed since.
   *
   * @returns {import("./seats.js").Wish}
   */
  #wish() {
    const { unsent } = this.values;
    const isNew = !visit.read("resume");
    if (isNew) this.#forgetGone();
    const later = Object.keys(unsent).length ? unsent : undefined;
    return {
      controls: isNew ? this.values.changed() : later,
      size: this.sizes.now,
      mirror: this.source?.isMirrored ?? false,
      name: this.name || undefined,
    };
  }

  /** Let go of remembered LoRAs that cannot be had any more: no session begins with them. */
  #forgetGone() {
    /** @type {{name: string}[]} */
    const chosen = this.values.get("loras") ?? [];
    const loras = chosen.filter(({ name }) => this.offers.find(name)?.state === "ready");
    if (loras.length === chosen.length) return;
    const gone = chosen.map(({ name }) => name).filter((name) => !loras.some((one) => one.name === name));
    this.values.correct({ loras });
    this.desk.notices.brief(WORDS.lorasGone(gone));
  }

  #hear() {
    const { session, desk } = this;
    const { messages } = session;
    on(session, "opened", (answer) => this.#opened(answer));
    // Whoever comes back from putting a file into the folder wants to see it.
    window.addEventListener("focus", () => this.offers.refresh());
    on(session, "ready", () => this.values.flush());
    on(messages, "patched", (answer) => this.values.confirm(answer));
    on(messages, "refused", () => this.values.undo());
    on(messages, "controls", ({ controls }) => this.values.adopt(controls));
    on(this.sizes, "change", () => this.source && refit(this.source, this.sizes.now));
    on(desk, "token", () => this.dispatchEvent(new CustomEvent("token")));
    on(desk, "style", (number) => {
      const style = this.panel.styles.pick(number);
      if (style) desk.notices.announce(style.name);
    });
  }

  /** @param {import("./capture.js").Source} source */
  #use(source) {
    const before = this.source;
    this.source = source;
    before?.stop();
    source.track.addEventListener("ended", () => this.source === source && this.#ended(source));
    this.desk.stage.showInput(source);
    this.#show("live");
    if (!before) return this.session.start(source.track);
    const mustReopen = before.isMirrored !== source.isMirrored;
    if (mustReopen) this.desk.stage.hold();
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

  /** @param {any} answer */
  #opened({ id, name, controls, stream }) {
    this.values.begin(controls);
    this.sizes.take(stream);
    this.obs.show(name ?? id);
  }

  /** @param {"start" | "live"} view */
  #show(view) {
    document.body.dataset.view = view;
    byId(view === "start" ? "start-styles" : "panel-styles").append(this.panel.styles.element);
  }
}
