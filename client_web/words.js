// @ts-check
/** Every sentence that the page says; knows no elements. */

export const WORDS = {
  unreachable: "The server does not answer.",
  /** @param {number} status */
  refused: (status) => `The server refused (${status}).`,
  token: "This server asks for a token. It printed a link that holds it.",
  wrongToken: "This token is not the server's.",
  connecting: "Connecting…",
  warming: "Loading the model (first start can take a minute)…",
  starting: "Waiting for the first picture…",
  restarting: "The model starts again…",
  /** @param {number} position */
  full: (position) => `All seats are taken. You are number ${position}.`,
  seat: "A seat is free. Connecting…",
  lost: "Connection lost. Reconnecting…",
  offline: "This device is offline. Reconnecting when it is back…",
  waitingAgain: "The server does not answer. Trying again…",
  closed: "The server ended this session.",
  /** @param {string} name of a stream */
  notRunning: (name) => `${name} is not running yet. Waiting for it…`,
  /** @param {string} name */
  nameTaken: (name) => `The name ${name} is taken by another stream. Waiting until it is free…`,
  /** @param {string} name */
  mayNotWatch: (name) => `Your link does not let you watch ${name}. Ask for another.`,
  /** @param {string} name */
  wrongPass: (name) => `This link to ${name} is too old, or wrong. Ask for another, or give the token.`,
  /** @param {string} name */
  watching: (name) => `Watch ${name}`,
  loraGone: "It is not on this server any more.",
  /** @param {string[]} names */
  lorasGone: (names) => `Not on this server any more: ${names.join(", ")}.`,
  /** @param {number} most */
  mostLoras: (most) => `${most} at a time: take one out first.`,
  readOnly: "You watch with this link. It does not let you change anything.",
  /** @param {string} time */
  taping: (time) => `The server records ${time}`,
  /** @param {number} width @param {number} height @param {boolean} hasPass */
  inObs: (width, height, hasPass) =>
    "In OBS: Sources, +, Browser. Paste this address" +
    (width ? `, width ${width}, height ${height}.` : ".") +
    (hasPass ? " Whoever has it can watch for a day." : ""),
  naming: "Without a name of its own, a stream has another address with each visit.",
  noStream: "Which stream? Add #stream=NAME to the address of this page.",
  copied: "Copied",
  notCopied: "Press Ctrl C, or ⌘ C",
  mayNotShare: "Only who has the server's token can make a link to watch.",
  tapeOff: "The server is not recording.",
  /** @param {string} file */
  taped: (file) => `The server kept ${file}.`,
  /** @param {string} size */
  sizing: (size) => `Getting ready for ${size}…`,
  /** @param {{backend: string, failure: string | null}} coming what will draw */
  upcoming: ({ backend, failure }) =>
    failure ? `${backend} could not be built` : `${backend} is being built`,
  resting: "Nothing moves, resting.",
  screenEnded: "Sharing has stopped.",
  cameraEnded: "The camera was unplugged, or switched off.",
  /** @param {number} frame_ms */
  slow: (frame_ms) => `The model needs ${Math.round(frame_ms)} ms a frame here. Smaller size?`,
  /** @param {number} seconds */
  draining: (seconds) => `The server restarts in ${seconds} s. You will be reconnected.`,
  modelStopped: "The model stopped.",
  notAPicture: "This browser cannot play that file.",
  /** @param {string} name */
  saved: (name) => `Saved ${name}`,
  noRecorder: "This browser cannot record.",
  nothingYet: "There is no picture to save yet.",
};

/** Output modes, as they are announced. @type {Record<string, string>} */
export const MODE_WORDS = {
  live: "Live",
  bypass: "Bypass: your own picture goes out",
  freeze: "Frozen: the last picture stays",
  black: "Black: nothing goes out",
};

/** Names of controls where their own, with spaces, would not do. @type {Record<string, string>} */
const CONTROL_NAMES = {
  t_index_list: "Noise levels",
  max_skip_frame: "Longest rest",
  similarity_filter: "Rest when still",
  similarity_threshold: "Sameness",
  negative_prompt: "Keep away from",
  loras: "LoRAs",
};

/**
 * Name a control for people.
 *
 * @param {string} name
 */
export function titleOf(name) {
  const plain = name.replaceAll("_", " ");
  return CONTROL_NAMES[name] ?? plain[0].toUpperCase() + plain.slice(1);
}

/**
 * Say why there is no picture from a camera or a screen, and what helps.
 *
 * @param {any} error a DOMException of getUserMedia or getDisplayMedia
 * @param {{isSecure: boolean, agent: string}} place
 * @returns {{key: string, says: string, help: string, canRetry: boolean}}
 */
export function captureWords(error, { isSecure, agent }) {
  if (!isSecure) {
    return {
      key: "not-https",
      says: "Cameras work only on https or localhost.",
      help:
        "Open http://localhost on the machine that runs the server, " +
        "or start the server with --tls auto and open its https address.",
      canRetry: false,
    };
  }
  const known = CAPTURE_WORDS[error?.name] ?? {
    key: "no-picture",
    says: "The browser gave no picture.",
    help: String(error?.message ?? ""),
  };
  const help = known.key === "camera-blocked" ? unblockWords(agent) : known.help;
  return { canRetry: true, ...known, help };
}

/** @type {Record<string, {key: string, says: string, help: string}>} */
const CAPTURE_WORDS = {
  NotAllowedError: {
    key: "camera-blocked",
    says: "The browser blocked the camera for this site.",
    help: "",
  },
  NotFoundError: {
    key: "no-camera",
    says: "No camera found.",
    help: "Plug one in and try again, or use something else.",
  },
  NotReadableError: {
    key: "camera-busy",
    says: "Another program is using the camera.",
    help: "Close that program, then try again.",
  },
  AbortError: {
    key: "camera-busy",
    says: "The camera did not start.",
    help: "Another program may be using it.",
  },
};

/**
 * Say how to allow the camera in the browser that is being used.
 *
 * @param {string} agent navigator.userAgent
 */
function unblockWords(agent) {
  if (/Firefox/.test(agent)) {
    return "Click the crossed-out camera in the address bar, remove the block, then try again.";
  }
  if (/iPhone|iPad/.test(agent)) {
    return "Tap the page menu in the address bar, Website Settings, Camera: Allow. Then try again.";
  }
  if (/Android/.test(agent)) {
    return "Tap the icon left of the address, Permissions, Camera: Allow. Then try again.";
  }
  if (/Safari/.test(agent) && !/Chrom/.test(agent)) {
    return "Menu Safari, Settings for This Website, Camera: Allow. Then try again.";
  }
  return "Click the icon left of the address, Camera: Allow, then try again.";
}
