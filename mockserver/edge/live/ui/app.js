// Feeds the store from the event stream, and draws at most once a frame.

import * as accounts from "./accounts.js";
import { ask, openEvents, session, setToken } from "./api.js";
import * as clock from "./clock.js";
import { byId, setOptions, setText } from "./dom.js";
import * as faults from "./faults.js";
import * as lanes from "./lanes.js";
import * as requests from "./requests.js";
import { fail, say } from "./say.js";
import { Store } from "./store.js";

const RETRY_MS = 2000;
const store = new Store();
let drawing = false;

function draw() {
  drawing = false;
  const providers = [["", "all"], ...[...store.providers.values()].map((each) => [each.name, each.name])];
  for (const id of ["tasks-provider", "requests-provider"]) setOptions(byId(id), providers);
  for (const view of [clock, lanes, requests, accounts, faults]) view.draw(store);
}

function drawSoon() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(draw);
}

function showLink(state, text) {
  byId("lamp").dataset.state = state;
  setText(byId("link-state"), text);
}

function listen() {
  const events = openEvents();
  const on = (name, take) =>
    events.addEventListener(name, (event) => {
      take(JSON.parse(event.data));
      drawSoon();
    });
  on("snapshot", (data) => {
    showLink("live", "live");
    store.replace(data);
  });
  on("update", (data) => store.change(data));
  on("reset", ({ what }) => {
    store.forget(what);
    say(what === "all" ? "The server was reset." : "The journal was cleared.");
  });
  events.addEventListener("error", () => {
    showLink("lost", "connection lost, reconnecting");
    if (events.readyState === EventSource.CLOSED) checkToken();
  });
}

/** Find out whether the stream was refused because the token is missing. */
async function checkToken() {
  try {
    await ask("GET", "health");
  } catch (error) {
    if (error.status === 401) {
      showLink("lost", "token required");
      byId("token-form").hidden = false;
      byId("main").hidden = true;
      byId("token").focus();
      return;
    }
  }
  setTimeout(listen, RETRY_MS);
}

byId("token-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  setToken(byId("token").value);
  try {
    await ask("GET", "health");
  } catch (error) {
    fail(error);
    return;
  }
  byId("token-form").hidden = true;
  byId("main").hidden = false;
  say("");
  start();
});

function start() {
  faults.open();
  listen();
}

if (session !== null) {
  setText(byId("session"), `session ${session}`);
  byId("session").hidden = false;
}
for (const view of [clock, lanes, requests, faults]) view.wire(store, drawSoon);
draw();
start();
