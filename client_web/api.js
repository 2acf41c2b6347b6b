// @ts-check
/** HTTP to the server: one shape of request, one shape of error; knows no sessions. */

import { WORDS } from "./words.js";

/** An answer that is not what was asked for. `status` 0: no answer at all. */
export class ApiError extends Error {
  /** @param {number} status @param {string} key @param {string} says */
  constructor(status, key, says) {
    super(says);
    this.status = status;
    this.key = key;
    this.says = says;
  }

  /** Whether the same request may succeed a little later. */
  get isPassing() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

export class Api {
  /** @param {string | null} token */
  constructor(token) {
    this.token = token;
  }

  /** @param {string} path @param {AbortSignal} [signal] */
  get(path, signal) {
    return this.#ask("GET", path, { signal });
  }

  /** @param {string} path @param {object} body @param {AbortSignal} [signal] */
  post(path, body, signal) {
    return this.#ask("POST", path, { body, signal });
  }

  /** @param {string} path @param {AbortSignal} [signal] */
  delete(path, signal) {
    return this.#ask("DELETE", path, { signal });
  }

  /**
   * Delete even while the page goes away; nobody waits for the answer.
   *
   * @param {string} path
   */
  leave(path) {
    fetch(path, { method: "DELETE", headers: this.#headers(), keepalive: true }).catch(() => {});
  }

  /** @returns {Record<string, string>} */
  #headers() {
    return this.token ? { Authorization: `Bearer ${this.token}` } : {};
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {{body?: object, signal?: AbortSignal}} given
   * @returns {Promise<any>} the body of the answer, with its `status`
   */
  async #ask(method, path, { body, signal }) {
    const headers = this.#headers();
    if (body) headers["Content-Type"] = "application/json";
    let answer;
    try {
      const text = body && JSON.stringify(body);
      answer = await fetch(path, { method, headers, body: text, signal, cache: "no-store" });
    } catch (error) {
      if (signal?.aborted) throw error;
      throw new ApiError(0, "unreachable", WORDS.unreachable);
    }
    const said = await answer.json().catch(() => ({}));
    if (!answer.ok) {
      throw new ApiError(answer.status, said.error ?? "", said.says ?? WORDS.refused(answer.status));
    }
    return { ...said, status: answer.status };
  }
}
