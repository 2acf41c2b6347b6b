// @ts-check
/**
 * The picture of one stream on a transparent page, as a Browser Source of OBS; comes back by itself.
 *
 *     /viewer#stream=NAME[&token=T][&fit=cover][&debug]
 *
 * stream, fit and debug may stand in the query as well; the token only where no server and no log
 * sees it.
 */

import { byId } from "./element.js";
import { Whep } from "./whep.js";
import { WORDS } from "./words.js";

const fragment = new URLSearchParams(location.hash.slice(1));
const query = new URLSearchParams(location.search);
const asked = (/** @type {string} */ key) => fragment.get(key) ?? query.get(key);

const name = (asked("stream") ?? "").trim().toLowerCase();
const isDebug = asked("debug") !== null;
/** @type {HTMLVideoElement} */
const video = byId("picture");
const words = byId("words");

document.documentElement.dataset.fit = asked("fit") ?? "contain";
window.addEventListener("hashchange", () => location.reload());
if (name) watch();
else say(WORDS.noStream);

function watch() {
  document.title = name;
  const whep = new Whep(`/whep/${encodeURIComponent(name)}`, fragment.get("token"));
  whep.addEventListener("stream", (event) => show(/** @type {CustomEvent} */ (event).detail));
  whep.addEventListener("state", (event) => {
    const { state, says } = /** @type {CustomEvent} */ (event).detail;
    document.body.dataset.state = state;
    if (state !== "live") clear();
    if (isDebug) say([state, says].filter(Boolean).join(": "));
  });
  window.addEventListener("pagehide", () => whep.stop());
  window.addEventListener("pageshow", (event) => event.persisted && whep.start());
  whep.start();
  if (isDebug) measure();
}

/** @param {MediaStream} stream shown from its first picture on, so that nothing black comes before */
function show(stream) {
  video.srcObject = stream;
  video.play().catch(() => {}); // interrupted by the next one, which plays
  const come = () => {
    if (video.srcObject === stream) document.body.dataset.has = "picture";
  };
  if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(come);
  else video.addEventListener("loadeddata", come, { once: true });
}

/** No picture is better than an old one: OBS shows what lies behind. */
function clear() {
  document.body.dataset.has = "";
  video.srcObject = null;
}

/** @param {string} says */
function say(says) {
  words.textContent = says;
  words.hidden = false;
}

/** Say once a second what is shown. */
function measure() {
  let before = 0;
  setInterval(() => {
    const shown = video.getVideoPlaybackQuality?.().totalVideoFrames ?? 0;
    const fps = Math.max(0, shown - before);
    before = shown;
    if (document.body.dataset.state !== "live") return;
    say(`live: ${name}, ${video.videoWidth} × ${video.videoHeight}, ${fps} fps`);
  }, 1000);
}
