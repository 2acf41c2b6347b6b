// @ts-check
/** Full screen: the output alone, and the controls for as long as the pointer moves. */

const IDLE_MS = 2500;

/** @param {HTMLElement} root of the page */
export function fullScreen(root) {
  let timer = 0;
  const move = () => {
    root.classList.remove("is-idle");
    clearTimeout(timer);
    timer = window.setTimeout(() => root.classList.add("is-idle"), IDLE_MS);
  };
  const follow = () => {
    const isFull = Boolean(document.fullscreenElement);
    root.classList.toggle("is-full", isFull);
    root.classList.remove("is-idle");
    clearTimeout(timer);
    for (const type of ["pointermove", "pointerdown", "keydown"]) {
      if (isFull) root.addEventListener(type, move);
      else root.removeEventListener(type, move);
    }
    if (isFull) move();
  };
  document.addEventListener("fullscreenchange", follow);
  return () => {
    if (document.fullscreenElement) document.exitFullscreen();
    else root.requestFullscreen?.().catch(() => {}); // not allowed here: the page stays as it is
  };
}
