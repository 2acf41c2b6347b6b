// @ts-check
/** The page of who watches a stream that runs already, and may steer it: no camera, no seat. */

import { Guest } from "./attach.js";
import { Desk, on } from "./desk.js";
import { button, byId, element } from "./element.js";
import { ObsCard } from "./obs.js";
import { Offers } from "./offers.js";
import { Panel } from "./panel.js";
import { Session } from "./session.js";
import { WORDS } from "./words.js";

/** How often a page without data channels asks how the stream is doing. */
const ASK_MS = 2000;

/** Event "token": the server does not take the one that it was given. */
export class Watch extends EventTarget {
  /** @param {import("./api.js").Api} api @param {import("./bar.js").Bar} bar @param {string} name */
  constructor(api, bar, name) {
    super();
    this.api = api;
    this.name = name;
    this.session = new Session(new Guest(api, name));
    this.desk = new Desk({
      session: this.session,
      bar,
      isAlone: true,
      leave: () => this.stop(),
      smaller: () => null,
    });
    /** @type {Panel | null} made when the stream says what it understands */
    this.panel = null;
    this.kind = "";
    this.offers = new Offers(api, null);
    this.obs = new ObsCard({ api, desk: this.desk, isGuarded: api.token !== null, asked: name });
    document.body.dataset.page = "watch";
    this.desk.permit(false);
    this.#words();
    this.#hear();
    setInterval(() => this.#ask(), ASK_MS);
    this.start();
  }

  start() {
    document.body.dataset.view = "live";
    this.session.start(null);
  }

  /** Leave the stream, which goes on without this page. */
  stop() {
    this.desk.clear();
    document.body.dataset.view = "start";
  }

  #words() {
    const { name } = this;
    const says = element("p", { class: "watching" }, "Watching ", element("strong", { text: name }));
    const leave = button({ icon: "stop", word: "Leave", label: "Leave", class: "tool", press: () => this.stop() });
    byId("sources").replaceChildren(says, leave);
    byId("still").classList.add("is-empty");
    byId("lead").textContent = `${name} is a stream on this server.`;
    byId("promise").textContent = "Your camera is not used.";
    const press = () => this.start();
    const watch = button({ icon: "bypass", word: WORDS.watching(name), class: "main-button", press });
    const home = () => location.assign(location.pathname);
    const own = button({ icon: "camera", word: "Use your own camera", class: "plain-button", press: home });
    byId("starts").replaceChildren(watch, own);
  }

  #hear() {
    const { session, desk } = this;
    const { messages } = session;
    on(session, "opened", (answer) => this.#opened(answer));
    on(session, "ready", () => this.panel?.values.flush());
    on(session, "state", ({ state, status }) => {
      if (state !== "ended" || status !== 403) return;
      const offers = [{ word: "Try again", isMain: true, press: () => session.restart() }];
      const says = WORDS.mayNotWatch(this.name);
      desk.bar.show("ended", { level: "error", says, offers, stays: true });
    });
    on(messages, "patched", (answer) => this.panel?.values.confirm(answer));
    on(messages, "refused", () => this.panel?.values.undo());
    on(messages, "controls", ({ controls }) => this.panel?.values.adopt(controls));
    on(desk, "token", () => this.dispatchEvent(new CustomEvent("token")));
    on(desk, "style", (number) => {
      if (this.panel?.isReadOnly) return;
      const style = this.panel?.styles.pick(number);
      if (style) desk.notices.announce(style.name);
    });
  }

  /** @param {any} answer */
  #opened({ controls, schema, understands, may_control: maySteer }) {
    const kind = JSON.stringify([schema, understands, maySteer]);
    if (kind !== this.kind) {
      const { messages } = this.session;
      const isReadOnly = !maySteer;
      const { offers } = this;
      this.panel = new Panel({ schema, understands, key: "", messages, isReadOnly, offers });
      byId("panel-styles").replaceChildren(this.panel.styles.element);
      this.kind = kind;
    }
    this.panel?.values.begin(controls);
    this.desk.permit(maySteer);
    if (maySteer) {
      this.obs.show(this.name);
      this.offers.refresh();
    }
  }

  /** Ask in place of the messages that only those who may steer are sent. */
  async #ask() {
    const { session } = this;
    if (!this.panel?.isReadOnly || session.state !== "live" || document.hidden) return;
    const path = `/v1/streams/${encodeURIComponent(this.name)}`;
    const status = await this.api.get(path).catch((error) => error);
    if (session.state !== "live") return;
    if (status.status === 404) return session.miss();
    if (!status.controls) return; // of the rest the connection tells
    this.panel?.values.adopt(status.controls);
    session.messages.tell("status", { ...status, ...status.stream });
  }
}
