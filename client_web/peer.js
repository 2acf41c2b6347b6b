// @ts-check
/** One peer connection: a track up, a track down, two data channels; knows no HTTP. */

const GATHERING_MS = 2000;
const DISCONNECTED_MS = 4000;
const MAX_BITRATE = 3_000_000;

/**
 * Tells of itself by events: "stream" (detail: MediaStream), "open" (both channels can be used),
 * "message" (detail: object), "lost" (once, and never after `close`).
 */
export class Peer extends EventTarget {
  /** @param {RTCIceServer[]} iceServers @param {MediaStreamTrack | null} track null: only looks */
  constructor(iceServers, track) {
    super();
    this.isClosed = false;
    /** Whether it is nothing without its channels; those who may only look get none. */
    this.mustTalk = true;
    this.connection = new RTCPeerConnection({ iceServers, bundlePolicy: "max-bundle" });
    const pc = this.connection;
    this.control = pc.createDataChannel("control", { ordered: true });
    this.live = pc.createDataChannel("live", { ordered: false, maxRetransmits: 0 });
    this.transceiver = track
      ? pc.addTransceiver(track, {
          direction: "sendrecv",
          sendEncodings: [{ maxBitrate: MAX_BITRATE, maxFramerate: 30 }],
        })
      : pc.addTransceiver("video", { direction: "recvonly" });
    playAtOnce(this.transceiver.receiver);
    pc.addEventListener("track", ({ track: answered }) =>
      this.#tell("stream", new MediaStream([answered])),
    );
    pc.addEventListener("connectionstatechange", () => this.#judge());
    for (const channel of [this.control, this.live]) {
      channel.addEventListener("message", ({ data }) => this.#read(data));
    }
    this.control.addEventListener("open", () => {
      if (!this.mustTalk) return;
      this.control.addEventListener("close", () => this.#lose());
      this.#tell("open");
    });
  }

  /** Make the offer, with all addresses in it: signalling is one request. */
  async offer() {
    const pc = this.connection;
    await pc.setLocalDescription();
    if (pc.iceGatheringState !== "complete") {
      await new Promise((done) => {
        setTimeout(done, GATHERING_MS);
        pc.addEventListener("icegatheringstatechange", () => {
          if (pc.iceGatheringState === "complete") done(null);
        });
      });
    }
    return pc.localDescription?.sdp ?? "";
  }

  /** @param {string} sdp the server's answer */
  accept(sdp) {
    return this.connection.setRemoteDescription({ type: "answer", sdp });
  }

  /** @param {MediaStreamTrack} track sent from now on in place of the one before */
  replace(track) {
    return this.transceiver.sender.replaceTrack(track);
  }

  close() {
    this.isClosed = true;
    this.connection.close();
  }

  #judge() {
    const state = this.connection.connectionState;
    if (state === "failed" || state === "closed") this.#lose();
    if (state !== "disconnected") return;
    setTimeout(() => {
      if (this.connection.connectionState === "disconnected") this.#lose();
    }, DISCONNECTED_MS);
  }

  #lose() {
    if (this.isClosed) return;
    this.close();
    this.#tell("lost");
  }

  /** @param {string} text */
  #read(text) {
    this.#tell("message", JSON.parse(text));
  }

  /** @param {string} type @param {unknown} [detail] */
  #tell(type, detail) {
    if (this.isClosed && type !== "lost") return;
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/** @param {RTCRtpReceiver} receiver of video: a buffered picture is a late picture */
export function playAtOnce(receiver) {
  const own = /** @type {any} */ (receiver); // neither is in every browser
  if ("jitterBufferTarget" in own) own.jitterBufferTarget = 0;
  if ("playoutDelayHint" in own) own.playoutDelayHint = 0;
}
