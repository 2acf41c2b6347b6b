// @ts-check
/** Dragging by pointer and by arrow keys, said as a share of a place; knows nothing of what moves. */

const KEY_STEP = 0.04;
/** @type {Record<string, [number, number]>} */
const ARROWS = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

/**
 * Tell of every move of `handle`, until the pointer is let go.
 *
 * @param {HTMLElement} handle
 * @param {() => {width: number, height: number}} room in which it can move, in pixels
 * @param {(dx: number, dy: number) => void} moved by shares of the room
 * @param {() => void} done
 */
export function draggable(handle, room, moved, done) {
  let held = false;
  handle.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    held = true;
    handle.setPointerCapture(event.pointerId);
  });
  handle.addEventListener("pointermove", (event) => {
    if (!held) return;
    const { width, height } = room();
    moved(event.movementX / Math.max(width, 1), event.movementY / Math.max(height, 1));
  });
  for (const type of ["pointerup", "pointercancel"]) {
    handle.addEventListener(type, () => {
      if (held) done();
      held = false;
    });
  }
  handle.addEventListener("keydown", (event) => {
    const arrow = ARROWS[event.key];
    if (!arrow) return;
    event.preventDefault();
    moved(arrow[0] * KEY_STEP, arrow[1] * KEY_STEP);
    done();
  });
}

/** @param {number} value @param {number} low @param {number} high */
export function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high);
}
