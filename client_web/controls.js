// @ts-check
/** The groups of controls, made from the schema; knows the names of groups, not of controls. */

import { button, element, icon } from "./element.js";
import { settings } from "./memory.js";
import { widgetFor } from "./widgets.js";
import { titleOf } from "./words.js";

/** In this order; what the schema calls otherwise gets a group of its own before the last. */
const GROUPS = ["Look", "Time", "Speed", "Advanced"];
/** @type {Record<string, string>} */
const GROUP_OF = {
  look: "Look",
  time: "Time",
  still: "Time",
  speed: "Speed",
  advanced: "Advanced",
  prompt: "Advanced",
};
const OPEN_AT_FIRST = ["Look"];

export class Controls {
  /**
   * @param {import("./values.js").Values} values
   * @param {import("./vocabulary.js").Vocabulary | null} understands
   * @param {import("./offers.js").Offers} [offers] LoRAs that the server has
   */
  constructor(values, understands, offers) {
    this.values = values;
    this.offers = offers;
    this.useful = understands?.useful ?? {};
    /** @type {Map<string, () => void>} */
    this.shows = new Map();
    /** @type {Map<string, HTMLElement>} */
    this.bodies = new Map();
    /** By group, who wants to know that it was opened. @type {Map<string, (() => void)[]>} */
    this.opened = new Map();
    this.open = settings.read("groups") ?? OPEN_AT_FIRST;
    this.element = element("div", { class: "groups" });
    const specs = values.schema.filter((spec) => spec.kind !== "prompts");
    for (const name of this.#names(specs)) this.element.append(this.#group(name));
    for (const spec of specs) this.#body(spec).append(this.#row(spec));
    values.addEventListener("change", (event) => {
      const { names } = /** @type {CustomEvent} */ (event).detail;
      for (const name of names) this.shows.get(name)?.();
    });
  }

  /** @param {string} group @param {...HTMLElement} rows that no schema knows, put first */
  put(group, ...rows) {
    this.bodies.get(group)?.prepend(...rows);
  }

  /** @param {import("./values.js").ControlSpec[]} specs */
  #names(specs) {
    const others = specs.map((spec) => groupOf(spec)).filter((name) => !GROUPS.includes(name));
    return [...GROUPS.slice(0, -1), ...new Set(others), ...GROUPS.slice(-1)];
  }

  /** @param {import("./values.js").ControlSpec} spec */
  #body(spec) {
    return /** @type {HTMLElement} */ (this.bodies.get(groupOf(spec)));
  }

  /** @param {string} group */
  #listeners(group) {
    const found = this.opened.get(group) ?? [];
    this.opened.set(group, found);
    return found;
  }

  /** @param {string} name */
  #group(name) {
    const body = element("div", { class: "group-body" });
    this.bodies.set(name, body);
    const group = element(
      "details",
      { class: "group", open: this.open.includes(name), ontoggle: () => this.#remember(name, group) },
      element("summary", {}, icon("chevron"), element("h2", { text: name })),
      body,
    );
    return group;
  }

  /** @param {string} name @param {HTMLDetailsElement} group */
  #remember(name, group) {
    const others = this.open.filter((/** @type {string} */ one) => one !== name);
    this.open = group.open ? [...others, name] : others;
    settings.write("groups", this.open);
    if (group.open) for (const tell of this.opened.get(name) ?? []) tell();
  }

  /** @param {import("./values.js").ControlSpec} spec */
  #row(spec) {
    const { name } = spec;
    const title = titleOf(name);
    const describedby = `help-${name}`;
    const useful = this.useful[name];
    const widget = widgetFor({
      spec,
      title,
      describedby,
      useful,
      choose: (value, isLive) => this.values.set({ [name]: value }, isLive),
      offers: this.offers,
    });
    const again = button({
      icon: "reset",
      label: `Reset ${title.toLowerCase()}`,
      class: "icon-button reset",
      press: () => this.values.reset(name),
    });
    const hasId = Boolean(widget.field.id || widget.field.querySelector("[id]"));
    const label = element(hasId ? "label" : "span", { class: "label", text: title });
    if (hasId) label.htmlFor = `control-${name}`;
    const help = element("p", { class: "help", id: describedby, role: "tooltip" });
    help.textContent = useful?.about ?? spec.help;
    const head = element("div", { class: "row-head" }, label, again, widget.value);
    const row = element("div", { class: "row" }, head, !widget.isInline && widget.field, help);
    if (widget.isInline) head.append(widget.field);
    row.addEventListener("dblclick", (/** @type {any} */ event) => {
      // In a field a double click chooses a word.
      if (!event.target.matches("[type=number], [type=text], button, button *")) {
        this.values.reset(name);
      }
    });
    const show = () => {
      widget.show(this.values.get(name));
      again.hidden = this.values.isDefault(name);
      row.hidden = Boolean(widget.isHidden);
    };
    this.shows.set(name, show);
    if (spec.kind === "loras") this.offers?.addEventListener("change", show);
    const { opened } = widget;
    if (opened) this.#listeners(groupOf(spec)).push(() => opened.call(widget));
    show();
    return row;
  }
}

/** @param {import("./values.js").ControlSpec} spec */
function groupOf(spec) {
  return GROUP_OF[spec.group] ?? spec.group[0].toUpperCase() + spec.group.slice(1);
}
