// @ts-check
/** The controls as the page knows them: chosen here, sent, answered; knows no widgets. */

import { settings } from "./memory.js";

/**
 * @typedef {object} ControlSpec what streamgen.control_schema says of one control
 * @property {string} name
 * @property {"number" | "integer" | "choice" | "text" | "prompts" | "seeds" | "integers" | "loras"} kind
 * @property {string} group
 * @property {string} unit
 * @property {any} default
 * @property {number | null} minimum
 * @property {number | null} maximum
 * @property {string[]} choices
 * @property {string} help
 */

/** What a plain control undoes, as the server does it. @type {Record<string, string>} */
const UNDOES = { strength: "t_index_list", steps: "t_index_list", seed: "seeds" };

/** The server takes 60 messages a second; a screen may have 240 pictures. */
const LIVE_MS = 30;

/** Event "change" (detail: {names}) for everybody who shows a control. */
export class Values extends EventTarget {
  /**
   * @param {ControlSpec[]} schema
   * @param {string} key under which they are remembered; empty: they are somebody else's
   * @param {(changes: Record<string, any>, isLive: boolean) => number} send 0: could not be sent
   */
  constructor(schema, key, send) {
    super();
    this.schema = schema;
    this.send = send;
    this.key = key;
    const known = new Set(schema.map((spec) => spec.name));
    const remembered = Object.entries((key && settings.read(key)) || {});
    this.defaults = Object.fromEntries(schema.map((spec) => [spec.name, spec.default]));
    this.chosen = {
      ...this.defaults,
      ...Object.fromEntries(remembered.filter(([name]) => known.has(name))),
    };
    /** Chosen while nobody listened. @type {Record<string, any>} */
    this.unsent = {};
    /** @type {Record<string, any>} */
    this.streaming = {};
    this.timer = 0;
    this.last_id = 0;
    /** As the server last said. @type {Record<string, any> | null} */
    this.confirmed = null;
  }

  /** @param {string} name */
  get(name) {
    return this.chosen[name];
  }

  /** @param {string} name */
  isDefault(name) {
    return same(this.chosen[name], this.defaults[name]);
  }

  /**
   * Choose. `isLive`: on the way to another value, sent with others of the moment.
   *
   * @param {Record<string, any>} changes
   * @param {boolean} [isLive]
   */
  set(changes, isLive = false) {
    this.#take(changes);
    if (isLive) {
      Object.assign(this.streaming, changes);
      this.timer ||= window.setTimeout(() => this.#stream(), LIVE_MS);
      return;
    }
    for (const name of Object.keys(changes)) delete this.streaming[name];
    this.#sendNow(changes);
    this.#keep();
  }

  /**
   * Put something in place of what was remembered and cannot be any more; nothing is sent.
   *
   * @param {Record<string, any>} changes
   */
  correct(changes) {
    this.#take(changes);
    this.#keep();
  }

  /** @param {string} name */
  reset(name) {
    this.set({ [name]: this.defaults[name] });
  }

  /** What differs from the defaults, in a form that the server takes as a whole. */
  changed() {
    const changed = this.schema.filter((spec) => !this.isDefault(spec.name));
    const found = Object.fromEntries(changed.map(({ name }) => [name, this.chosen[name]]));
    for (const [plain, special] of Object.entries(UNDOES)) {
      if (this.chosen[special] != null) delete found[plain];
    }
    return found;
  }

  /**
   * Take what the server says is so.
   *
   * @param {Record<string, any>} controls
   */
  adopt(controls) {
    this.confirmed = controls;
    this.#take(controls);
    this.#keep();
  }

  /**
   * Begin a session: what the server starts with, and over it what was chosen since.
   *
   * @param {Record<string, any>} controls
   */
  begin(controls) {
    this.confirmed = controls;
    this.#take({ ...controls, ...this.unsent });
  }

  /** @param {{id?: number, controls?: Record<string, any>}} answer to a patch */
  confirm(answer) {
    if (!answer.controls) return;
    this.confirmed = answer.controls;
    // An older answer must not undo what was chosen since.
    if (answer.id === this.last_id && !this.timer) this.adopt(answer.controls);
  }

  /** Go back to what the server last said: it refused what was chosen. */
  undo() {
    if (this.confirmed) this.adopt(this.confirmed);
  }

  /** Send what was chosen while nobody listened, and is not so yet. */
  flush() {
    const open = Object.entries(this.unsent).filter(
      ([name, value]) => !same(this.confirmed?.[name], value),
    );
    this.unsent = {};
    if (open.length) this.set(Object.fromEntries(open));
  }

  #keep() {
    if (this.key) settings.write(this.key, this.changed());
  }

  #stream() {
    this.timer = 0;
    const changes = this.streaming;
    this.streaming = {};
    if (Object.keys(changes).length) this.send(changes, true);
  }

  /** @param {Record<string, any>} changes */
  #sendNow(changes) {
    const id = this.send(changes, false);
    if (id) this.last_id = id;
    else Object.assign(this.unsent, changes);
  }

  /** @param {Record<string, any>} changes */
  #take(changes) {
    const undone = Object.keys(changes)
      .map((name) => UNDOES[name])
      .filter((special) => special in this.chosen && !(special in changes));
    const taken = { ...changes, ...Object.fromEntries(undone.map((special) => [special, null])) };
    const names = Object.keys(taken).filter((name) => !same(this.chosen[name], taken[name]));
    for (const name of names) this.chosen[name] = taken[name];
    if (names.length) this.dispatchEvent(new CustomEvent("change", { detail: { names } }));
  }
}

/** @param {unknown} a @param {unknown} b */
function same(a, b) {
  return JSON.stringify(a) === JSON.stringify(b);
}
