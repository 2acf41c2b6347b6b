// @ts-check
/** A field for one number, typed exactly; knows nothing of what the number is for. */

import { element } from "./element.js";

/**
 * @param {{kind: string, minimum: number | null, maximum: number | null}} spec
 * @param {string} label
 * @param {(value: number) => void} choose told of numbers that are allowed, and of no others
 */
export function numberField(spec, label, choose) {
  const field = element("input", {
    type: "number",
    class: "number",
    step: spec.kind === "integer" ? 1 : "any",
    min: spec.minimum,
    max: spec.maximum,
    "aria-label": label,
    onchange: () => field.value !== "" && field.checkValidity() && choose(field.valueAsNumber),
    onkeydown: (/** @type {KeyboardEvent} */ event) => event.key === "Enter" && field.blur(),
  });
  return field;
}
