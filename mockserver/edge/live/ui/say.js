// The one line in which the page says what came of what was asked.

import { byId, setText } from "./dom.js";

/** Say something; screen readers hear it when they are free. */
export function say(words, isError = false) {
  const line = byId("said");
  line.classList.toggle("bad", isError);
  setText(line, words);
}

/** Say why something was not done. */
export function fail(error) {
  say(`Not done: ${error.message}`, true);
}

/** Do what a button asks for, and say what came of it. */
export async function perform(work, words) {
  try {
    const answer = await work();
    say(typeof words === "function" ? words(answer) : words);
    return answer;
  } catch (error) {
    fail(error);
    return null;
  }
}
