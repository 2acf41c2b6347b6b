// @ts-check
/** Which LoRAs the server has to choose from, asked for afresh now and then; knows no widgets. */

/**
 * @typedef {object} Offered
 * @property {string} name
 * @property {"ready" | "broken"} state
 * @property {string} says what is wrong with it, empty where nothing is
 */

/** Event "change": there are others than before. */
export class Offers extends EventTarget {
  /** @param {import("./api.js").Api} api @param {Offered[] | null} list null: not known yet */
  constructor(api, list) {
    super();
    this.api = api;
    this.list = list;
    this.isAsking = false;
  }

  /** @param {string} name */
  find(name) {
    return this.list?.find((one) => one.name === name);
  }

  /** Whether it is known that there is none of a name. @param {string} name */
  lacks(name) {
    return this.list !== null && !this.find(name);
  }

  /** Ask what there is now; files come and go while a server runs. */
  async refresh() {
    if (this.isAsking) return;
    this.isAsking = true;
    const answer = await this.api.get("/v1/loras").catch(() => ({})); // what was known counts
    this.isAsking = false;
    if (!answer.loras || JSON.stringify(answer.loras) === JSON.stringify(this.list)) return;
    this.list = answer.loras;
    this.dispatchEvent(new CustomEvent("change"));
  }
}
