// @ts-check
/** Elements and icons as one expression; knows nothing of what they are for. */

const SVG = "http://www.w3.org/2000/svg";

/**
 * Make an element. Keys that start with "on" listen, `class` and `text` are what they say,
 * `true` is an attribute without a value, `false` and null are left out.
 *
 * @param {string} tag
 * @param {Record<string, any>} [given]
 * @param {...(Node | string | null | undefined | false)} children
 * @returns {any} the element, of the class that its tag has
 */
export function element(tag, given = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(given)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key === "class") made.className = value;
    else if (key === "text") made.textContent = value;
    else if (key === "value") /** @type {any} */ (made).value = value;
    else made.setAttribute(key, value === true ? "" : String(value));
  }
  made.append(.../** @type {(Node | string)[]} */ (children.filter(Boolean)));
  return made;
}

/**
 * Make one of the drawings of icons.svg; a word beside it, or a label, says what it means.
 *
 * @param {string} name
 */
export function icon(name) {
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("class", "icon");
  drawing.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `icons.svg#${name}`);
  drawing.append(use);
  return drawing;
}

/**
 * Make a button with an icon, a word, or both; `label` is its name where the word is not shown.
 *
 * @param {{icon?: string, word?: string, label?: string, class?: string, press: () => void}} given
 * @returns {HTMLButtonElement}
 */
export function button(given) {
  const made = element(
    "button",
    {
      type: "button",
      class: given.class,
      title: given.label,
      "aria-label": given.word ? null : given.label,
      onclick: given.press,
    },
    given.icon && icon(given.icon),
    given.word && element("span", { text: given.word }),
  );
  return made;
}

/**
 * Find what the page cannot do without.
 *
 * @param {string} id
 * @returns {any} the element, of the class that the page gives it
 */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`index.html has no element with the id ${id}`);
  return found;
}
