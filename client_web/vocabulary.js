// @ts-check
/** Sentences and the words in them that a model understands; plain functions of plain data. */

/**
 * @typedef {{name: string, synonyms: string[]}} Word
 * @typedef {Word & {description: string, thumbnail: string}} StyleWord
 * @typedef {object} Vocabulary
 * @property {StyleWord[]} styles
 * @property {Word[]} palettes
 * @property {Word[]} lights
 * @property {string[]} examples
 * @property {string} combining
 * @property {string} empty_prompt
 * @property {Record<string, {low: number, high: number, about: string}>} useful
 * @property {string} original
 */

/**
 * Find the word that stands first in a text; of two at the same place, the longer one.
 *
 * @template {Word} W
 * @param {string} text
 * @param {W[]} words
 * @returns {{word: W, at: number, length: number} | null}
 */
export function findWord(text, words) {
  let found = null;
  for (const word of words) {
    for (const form of [word.name, ...word.synonyms]) {
      const at = placeOf(text, form);
      if (at < 0) continue;
      const isBetter = !found || at < found.at || (at === found.at && form.length > found.length);
      if (isBetter) found = { word, at, length: form.length };
    }
  }
  return found;
}

/** @param {string} text @param {string} form as whole words @returns {number} -1: not there */
function placeOf(text, form) {
  const plain = form.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  const hit = new RegExp(`(?<![\\p{L}\\d])${plain}(?![\\p{L}\\d])`, "iu").exec(text);
  return hit ? hit.index : -1;
}

/**
 * Put a word where another of its kind stands, or at the end.
 *
 * @param {string} text
 * @param {Word} word
 * @param {Word[]} kind
 * @param {boolean} [isFirst] whether it is put before the rest where none stands
 */
export function withWord(text, word, kind, isFirst = false) {
  const before = findWord(text, kind);
  if (before) {
    return text.slice(0, before.at) + word.name + text.slice(before.at + before.length);
  }
  const rest = text.trim().replace(/^,\s*|\s*,$/g, "");
  if (!rest) return word.name;
  return isFirst ? `${word.name}, ${rest}` : `${rest}, ${word.name}`;
}

/**
 * Take a word out, and the comma that led to it.
 *
 * @param {string} text
 * @param {Word} word
 */
export function withoutWord(text, word) {
  const there = findWord(text, [word]);
  if (!there) return text;
  const head = text.slice(0, there.at).replace(/[,\s]+$/, "");
  const tail = text.slice(there.at + there.length).replace(/^[,\s]+/, "");
  const comma = /,\s*$/.test(text.slice(0, there.at)) ? ", " : " ";
  return head && tail ? head + comma + tail : head + tail;
}
