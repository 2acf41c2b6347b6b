// @ts-check
/** Waiting that can be called off, and longer waits after each failure; knows no reasons. */

const BACKOFF_MS = [300, 1000, 2000, 4000, 8000];

/**
 * @param {number} ms
 * @param {AbortSignal} signal that ends the wait with an AbortError
 */
export function pause(ms, signal) {
  return new Promise((done, stopped) => {
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      stopped(new DOMException("no longer wanted", "AbortError"));
    });
  });
}

/**
 * Say how long to wait before trying again; never the same for two who lost the same server.
 *
 * @param {number} attempts that failed in a row
 * @param {number[]} [steps_ms]
 */
export function backoff(attempts, steps_ms = BACKOFF_MS) {
  const step_ms = steps_ms[Math.min(attempts, steps_ms.length - 1)];
  return step_ms * (0.8 + 0.4 * Math.random());
}
