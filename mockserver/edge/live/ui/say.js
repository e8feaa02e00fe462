// The status line of the page.

import { byId, setText } from "./dom.js";

/** Show a message; screen readers announce it politely. */
export function say(text, isError = false) {
  const line = byId("said");
  line.classList.toggle("bad", isError);
  setText(line, text);
}

/** Show why a command failed. */
export function fail(error) {
  say(`Failed: ${error.message}`, true);
}

/** Run a command, and show its result. */
export async function perform(work, text) {
  try {
    const answer = await work();
    say(typeof text === "function" ? text(answer) : text);
    return answer;
  } catch (error) {
    fail(error);
    return null;
  }
}
