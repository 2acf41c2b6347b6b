// @ts-check
/** What the page remembers: settings across visits, tokens for as long as the tab lives. */

const PREFIX = "streamgen.";

/**
 * @param {Storage} storage
 * @param {string} key
 * @returns {any} what was written, or null
 */
function read(storage, key) {
  try {
    return JSON.parse(storage.getItem(PREFIX + key) ?? "null");
  } catch {
    return null; // blocked storage, or something else under our name: nothing is remembered
  }
}

/**
 * @param {Storage} storage
 * @param {string} key
 * @param {unknown} value
 */
function write(storage, key, value) {
  try {
    if (value === null) storage.removeItem(PREFIX + key);
    else storage.setItem(PREFIX + key, JSON.stringify(value));
  } catch {
    // A browser that keeps nothing still shows the page.
  }
}

/** Settings, kept until the browser is told to forget. */
export const settings = {
  /** @param {string} key */
  read: (key) => read(localStorage, key),
  /** @param {string} key @param {unknown} value */
  write: (key, value) => write(localStorage, key, value),
};

/** The token and the right to resume, kept until the tab is closed. */
export const visit = {
  /** @param {string} key */
  read: (key) => read(sessionStorage, key),
  /** @param {string} key @param {unknown} value */
  write: (key, value) => write(sessionStorage, key, value),
};

/** Take the token out of the address, so that it is neither shared nor seen; return it. */
export function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    visit.write("token", given);
    history.replaceState(null, "", location.pathname + location.search);
  }
  return visit.read("token");
}
