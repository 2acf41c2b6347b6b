// @ts-check
/** The beginning: asks the server about itself, for a token if it must, and builds the page. */

import { Api, ApiError } from "./api.js";
import { App } from "./app.js";
import { Bar } from "./bar.js";
import { button, byId, element } from "./element.js";
import { takeToken, visit } from "./memory.js";
import { Watch } from "./watch.js";
import { WORDS } from "./words.js";

const AGAIN_MS = 3000;

const api = new Api(takeToken());
const bar = new Bar(byId("bar"));
const asked = new URLSearchParams(location.search);
/** A stream to watch, `?stream=NAME`, or the name of the one that this page makes, `?as=NAME`. */
const [watched, own] = ["stream", "as"].map((key) => (asked.get(key) ?? "").trim().toLowerCase());
if (watched) watch();
else begin();

/** A pass for one stream opens no other door: the stream itself says all there is to know. */
function watch() {
  new Watch(api, bar, watched).addEventListener("token", askForToken);
}

async function begin() {
  try {
    const about = await api.get("v1/about");
    bar.clear("begin");
    if (!about.schema) return askForToken();
    const app = new App(api, about, bar, own);
    app.addEventListener("token", askForToken);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (error.status === 401) return askForToken();
    bar.show("begin", { level: "error", says: error.says, stays: true });
    setTimeout(begin, AGAIN_MS);
  }
}

/** Ask for the token in place of the buttons of the start. */
function askForToken() {
  const field = element("input", {
    type: "password",
    class: "line",
    autocomplete: "off",
    required: true,
    "aria-label": "Token",
    placeholder: "Token",
  });
  const enter = button({ word: "Continue", class: "main-button", press: () => {} });
  enter.type = "submit";
  const form = element("form", { class: "token" }, field, enter);
  form.addEventListener("submit", (/** @type {Event} */ event) => {
    event.preventDefault();
    visit.write("token", field.value.trim());
    location.reload();
  });
  const wrong = watched ? WORDS.wrongPass(watched) : WORDS.wrongToken;
  const says = api.token ? wrong : WORDS.token;
  byId("starts").replaceChildren(element("p", { text: says }), form);
  field.focus();
}
