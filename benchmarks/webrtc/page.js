// @ts-check
/**
 * One end of a measurement: numbered pictures go out, and those that come back are read.
 *
 * The number lies in the pixels as in server/barcode.py, which says how. Knows no figures: it
 * hands out when each number was drawn and when it was seen, by one clock.
 */

const COLUMNS = 16;
const CHECK = 251;
const LEAST_CONTRAST = 64;
/** Side of a cell in the small copy that is read. */
const CELL = 4;
const PING_MS = 2000;

/** @param {number} number @param {number} count @returns {number[]} highest bit first */
function binary(number, count) {
  return Array.from({ length: count }, (_, place) => (number >> (count - 1 - place)) & 1);
}

/** @param {number} number */
function cellsOf(number) {
  const bits = binary(number, 20);
  const check = binary(CHECK - 1 - (number % CHECK), 8);
  return [1, ...bits.slice(0, 14), 0, 0, ...bits.slice(14), ...check, 1];
}

/** @param {number} width @param {number} height of a picture, whose largest square counts */
function squareOf(width, height) {
  const side = Math.min(width, height);
  return { x: (width - side) / 2, y: (height - side) / 2, side };
}

/** @param {CanvasRenderingContext2D} pen @param {number} number */
function writeNumber(pen, number) {
  const { x, y, side } = squareOf(pen.canvas.width, pen.canvas.height);
  const cell = side / COLUMNS;
  cellsOf(number).forEach((bit, index) => {
    pen.fillStyle = bit ? "#fff" : "#000";
    const [column, row] = [index % COLUMNS, Math.floor(index / COLUMNS)];
    pen.fillRect(x + column * cell, y + row * cell, cell, cell);
  });
}

/**
 * @param {HTMLVideoElement} video
 * @param {CanvasRenderingContext2D} pen of a small canvas
 * @returns {number | null} the number in a video's picture, null where none can be trusted
 */
function readNumber(video, pen) {
  const { x, y, side } = squareOf(video.videoWidth, video.videoHeight);
  const [width, height] = [COLUMNS * CELL, 2 * CELL];
  pen.drawImage(video, x, y, side, side / 8, 0, 0, width, height);
  const { data } = pen.getImageData(0, 0, width, height);
  const levels = Array.from({ length: 2 * COLUMNS }, (_, index) => {
    const [column, row] = [index % COLUMNS, Math.floor(index / COLUMNS)];
    let sum = 0;
    for (const dy of [1, 2]) {
      for (const dx of [1, 2]) {
        const at = 4 * ((row * CELL + dy) * width + column * CELL + dx);
        sum += 0.299 * data[at] + 0.587 * data[at + 1] + 0.114 * data[at + 2];
      }
    }
    return sum / 4;
  });
  const black = Math.max(levels[15], levels[16]);
  const white = Math.min(levels[0], levels[31]);
  if (white - black < LEAST_CONTRAST) return null;
  const cells = levels.map((level) => Number(level > (black + white) / 2));
  const bits = [...cells.slice(1, 15), ...cells.slice(17, 23)];
  const number = bits.reduce((sum, bit) => 2 * sum + bit, 0);
  return cellsOf(number).every((bit, index) => bit === cells[index]) ? number : null;
}

/**
 * @typedef {object} Sending
 * @property {string[]} pictures JPEGs in base64, shown forth and back
 * @property {number} width
 * @property {number} height
 * @property {number} fps
 * @property {number} first number
 * @property {object} wish what goes along with the offer
 */

class Measurement {
  constructor() {
    /** @type {[number, number][]} number, and when it was drawn */
    this.drawn = [];
    /** @type {[number | null, number][]} number, and when it was seen */
    this.shown = [];
    /** @type {object[]} messages of the server, but for pongs and those that come often */
    this.said = [];
    /** @type {any} the last of its words on how it goes */
    this.status = null;
    this.isPainting = true;
    this.video = document.createElement("video");
    this.video.muted = this.video.autoplay = true;
    document.body.append(this.video);
    const reading = document.createElement("canvas");
    [reading.width, reading.height] = [COLUMNS * CELL, 2 * CELL];
    this.pen = /** @type {CanvasRenderingContext2D} */ (
      reading.getContext("2d", { willReadFrequently: true })
    );
  }

  /** @param {Sending} sending */
  async start(sending) {
    const stills = await Promise.all(sending.pictures.map(decoded));
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [sending.width, sending.height];
    document.body.append(canvas);
    this.#paint(/** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d")), sending, stills);
    const [track] = canvas.captureStream(sending.fps).getVideoTracks();
    track.contentHint = "motion";
    await this.#connect(track, sending.wish);
  }

  /** Draw no more; what is on its way still arrives. */
  halt() {
    this.isPainting = false;
  }

  async close() {
    if (this.id) await fetch(`/v1/sessions/${this.id}`, { method: "DELETE" });
    this.connection?.close();
  }

  /** @param {CanvasRenderingContext2D} pen @param {Sending} sending @param {ImageBitmap[]} stills */
  #paint(pen, { width, height, fps, first }, stills) {
    let number = first;
    let due = performance.now();
    const paint = (/** @type {number} */ now) => {
      if (!this.isPainting) return;
      requestAnimationFrame(paint);
      // Half a screen's frame early is nearer than a half too late.
      if (now < due - 8) return;
      due = Math.max(due + 1000 / fps, now);
      const turn = number % (2 * stills.length);
      pen.drawImage(stills[Math.min(turn, 2 * stills.length - 1 - turn)], 0, 0, width, height);
      writeNumber(pen, number);
      this.drawn.push([number, performance.now()]);
      number += 1;
    };
    requestAnimationFrame(paint);
  }

  /** @param {MediaStreamTrack} track @param {object} wish */
  async #connect(track, wish) {
    const pc = (this.connection = new RTCPeerConnection({ iceServers: [] }));
    const control = pc.createDataChannel("control");
    pc.createDataChannel("live", { ordered: false, maxRetransmits: 0 });
    control.addEventListener("message", ({ data }) => this.#hear(JSON.parse(data)));
    const ping = () => {
      if (control.readyState === "open") {
        control.send(JSON.stringify({ type: "ping", t: performance.now() }));
      }
    };
    control.addEventListener("open", ping);
    setInterval(ping, PING_MS);
    const sendEncodings = [{ maxBitrate: 3_000_000, maxFramerate: 30 }];
    const { receiver } = pc.addTransceiver(track, { direction: "sendrecv", sendEncodings });
    /** @type {any} */ (receiver).jitterBufferTarget = 0;
    this.video.srcObject = new MediaStream([receiver.track]);
    this.video.requestVideoFrameCallback(() => this.#see());
    await pc.setLocalDescription();
    while (pc.iceGatheringState !== "complete") {
      await new Promise((done) => {
        pc.addEventListener("icegatheringstatechange", done, { once: true });
      });
    }
    const answer = await fetch("/v1/sessions", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ sdp: pc.localDescription?.sdp, type: "offer", ...wish }),
    });
    const told = await answer.json();
    if (answer.status !== 201) throw new Error(`${answer.status}: ${JSON.stringify(told)}`);
    this.id = told.id;
    await pc.setRemoteDescription({ type: "answer", sdp: told.sdp });
  }

  #see() {
    this.shown.push([readNumber(this.video, this.pen), performance.now()]);
    this.video.requestVideoFrameCallback(() => this.#see());
  }

  /** @param {any} message */
  #hear(message) {
    if (message.type === "status") this.status = message;
    else if (!["pong", "frame"].includes(message.type)) this.said.push(message);
  }
}

/** @param {string} text a picture in base64 */
async function decoded(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return createImageBitmap(new Blob([bytes]));
}

/** @type {any} */ (window).measurement = new Measurement();
