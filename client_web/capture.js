// @ts-check
/** Where the picture comes from: camera, screen or file; knows nothing of where it goes. */

import { element } from "./element.js";
import { WORDS } from "./words.js";

/**
 * One open source. `isMirrored`: shown, and redrawn, as in a mirror.
 *
 * @typedef {object} Source
 * @property {"camera" | "screen" | "file"} kind
 * @property {MediaStream} stream
 * @property {MediaStreamTrack} track
 * @property {boolean} isMirrored
 * @property {string} device id of the camera, or ""
 * @property {() => void} stop
 */

/** Camera frames are sent no larger than this many times the model's picture. */
const OVERSIZE = 1.5;
const SMALLEST_PX = 384;

/** Whether this page may ask for a camera at all (https, or localhost). */
export function isSecure() {
  return window.isSecureContext && Boolean(navigator.mediaDevices);
}

/**
 * Open a camera, cropped to the model's aspect where the browser can do that.
 *
 * @param {{width: number, height: number}} size of the model's picture
 * @param {string} [device] id of a camera that was used before
 * @returns {Promise<Source>}
 */
export async function openCamera(size, device = "") {
  if (!isSecure()) throw new DOMException("no media devices", "SecurityError");
  const wanted = {
    ...pictureOf(size),
    ...(device ? { deviceId: { ideal: device } } : { facingMode: { ideal: "user" } }),
  };
  const stream = await askForCamera(wanted);
  const [track] = stream.getVideoTracks();
  track.contentHint = "motion";
  const got = track.getSettings();
  return {
    ...sourceOf("camera", stream),
    isMirrored: got.facingMode !== "environment",
    device: got.deviceId ?? "",
  };
}

/**
 * Crop a camera anew, for another size of the model's picture.
 *
 * @param {Source} source
 * @param {{width: number, height: number}} size
 */
export function refit(source, size) {
  if (source.kind !== "camera") return;
  source.track.applyConstraints(pictureOf(size)).catch(() => {}); // the server crops what comes
}

/** @param {{width: number, height: number}} size of the model's picture */
function pictureOf(size) {
  const scale = Math.max(OVERSIZE, SMALLEST_PX / Math.min(size.width, size.height));
  return {
    width: { ideal: Math.round(size.width * scale) },
    height: { ideal: Math.round(size.height * scale) },
    frameRate: { ideal: 30, max: 30 },
    resizeMode: { ideal: "crop-and-scale" },
  };
}

/** @param {MediaTrackConstraints} wanted */
async function askForCamera(wanted) {
  try {
    return await navigator.mediaDevices.getUserMedia({ video: wanted, audio: false });
  } catch (error) {
    if (/** @type {any} */ (error).name !== "OverconstrainedError") throw error;
    return navigator.mediaDevices.getUserMedia({ video: true, audio: false });
  }
}

/**
 * Ask which screen, window or tab to share; only from a click.
 *
 * @returns {Promise<Source>}
 */
export async function openScreen() {
  if (!isSecure() || !navigator.mediaDevices.getDisplayMedia) {
    throw new DOMException("no screen sharing", "NotSupportedError");
  }
  const wanted = {
    video: { frameRate: { ideal: 30, max: 30 }, width: { max: 1920 }, height: { max: 1080 } },
    audio: false,
    surfaceSwitching: "include",
    selfBrowserSurface: "exclude",
  };
  const stream = await navigator.mediaDevices.getDisplayMedia(wanted);
  stream.getVideoTracks()[0].contentHint = "detail";
  return sourceOf("screen", stream);
}

/**
 * Play a video file round and round, or hold a picture.
 *
 * @param {File} file
 * @param {{width: number, height: number}} size of the model's picture
 * @returns {Promise<Source>}
 */
export async function openFile(file, size) {
  const url = URL.createObjectURL(file);
  const isPicture = file.type.startsWith("image/");
  try {
    const shown = await (isPicture ? loadPicture(url) : playVideo(url));
    const [stream, stopDrawing] = drawnStream(shown, size);
    return {
      ...sourceOf("file", stream),
      stop: () => {
        stopDrawing();
        if (shown instanceof HTMLVideoElement) shown.pause();
        stream.getTracks().forEach((track) => track.stop());
        URL.revokeObjectURL(url);
      },
    };
  } catch {
    URL.revokeObjectURL(url);
    throw new DOMException(WORDS.notAPicture, "EncodingError");
  }
}

/** @param {string} url @returns {Promise<HTMLImageElement>} */
async function loadPicture(url) {
  const picture = element("img", { src: url, alt: "" });
  await picture.decode();
  return picture;
}

/** @param {string} url @returns {Promise<HTMLVideoElement>} */
async function playVideo(url) {
  const video = element("video", { src: url, loop: true, playsinline: true });
  video.muted = true;
  await video.play();
  return video;
}

/**
 * Draw what is shown into a canvas of the model's aspect, 30 times a second, and stream that:
 * no pixel is sent that the model would cut off.
 *
 * @param {HTMLVideoElement | HTMLImageElement} shown
 * @param {{width: number, height: number}} size
 * @returns {[MediaStream, () => void]} the stream, and what ends the drawing
 */
function drawnStream(shown, size) {
  const scale = Math.max(1, SMALLEST_PX / Math.min(size.width, size.height));
  const width = Math.round(size.width * scale);
  const height = Math.round(size.height * scale);
  const canvas = element("canvas", { width, height });
  const pen = canvas.getContext("2d");
  const draw = () => {
    const w = shown instanceof HTMLVideoElement ? shown.videoWidth : shown.naturalWidth;
    const h = shown instanceof HTMLVideoElement ? shown.videoHeight : shown.naturalHeight;
    const fit = Math.max(width / w, height / h);
    pen.drawImage(shown, (width - w * fit) / 2, (height - h * fit) / 2, w * fit, h * fit);
  };
  draw();
  const timer = setInterval(draw, 1000 / 30);
  return [canvas.captureStream(30), () => clearInterval(timer)];
}

/**
 * @param {Source["kind"]} kind
 * @param {MediaStream} stream
 * @returns {Source}
 */
function sourceOf(kind, stream) {
  const stop = () => stream.getTracks().forEach((track) => track.stop());
  const [track] = stream.getVideoTracks();
  return { kind, stream, track, isMirrored: false, device: "", stop };
}

/** List the cameras; they have names only once one of them was allowed. */
export async function cameras() {
  if (!isSecure()) return [];
  const devices = await navigator.mediaDevices.enumerateDevices();
  return devices.filter((device) => device.kind === "videoinput" && device.deviceId);
}
