// The clock: time, speed, and the buttons that change them.

import { ask } from "./api.js";
import { byId, dateOf, duration, exactTimeOf, isUsable, number, setText, setUsable } from "./dom.js";
import { perform } from "./say.js";

let running = false;
let edited = false;
let lastSpeed = null;

/** Show the time. */
export function draw(store) {
  if (store.now === null) return;
  running = store.speed > 0;
  setText(byId("now-date"), dateOf(store.now));
  setText(byId("now-time"), exactTimeOf(store.now));
  setText(byId("pace"), running ? `${number(store.speed)}× real time` : "paused");
  if (running && store.speed !== lastSpeed && !edited) byId("speed").value = store.speed;
  lastSpeed = store.speed;
  nameButton();
}

function nameButton() {
  setText(byId("run"), !running ? "Run" : edited ? "Set" : "Pause");
}

/** Attach the buttons. */
export function wire() {
  byId("speed").addEventListener("input", () => {
    edited = true;
    nameButton();
  });
  byId("pace-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const pausing = running && !edited;
    edited = false;
    setPace(pausing ? 0 : byId("speed").valueAsNumber);
  });
  byId("steps").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) step(Number(button.dataset.seconds));
  });
  byId("step-form").addEventListener("submit", (event) => {
    event.preventDefault();
    step(byId("step").valueAsNumber);
  });
}

function setPace(speed) {
  return perform(
    () => ask("POST", "clock", { speed }),
    speed ? `The clock runs at ${number(speed)}× real time.` : "The clock is paused.",
  );
}

async function step(seconds) {
  const buttons = [...byId("steps").children, byId("step-form").querySelector("button")];
  if (!buttons.every(isUsable)) return;
  for (const button of buttons) setUsable(button, false);
  await perform(
    () => ask("POST", "clock", { advance_s: seconds }),
    (report) => {
      const sent = report.attempts ? `; ${number(report.attempts)} callback attempts, ${number(report.failed)} failed` : "";
      return `The clock advanced by ${duration(seconds * 1000)}${sent}.`;
    },
  );
  for (const button of buttons) setUsable(button, true);
}
