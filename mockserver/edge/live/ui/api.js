// The control plane as the page asks it: with the session of the address, and the token where one is wanted.

const TOKEN = "mockserver-admin-token";
const root = new URL("../", import.meta.url);
const words = new URLSearchParams(location.search);

const fromPath = root.pathname.match(/^\/~([^/]+)\//)?.[1];

/** The session that is looked at, which the address names in its query or at the start of its path. */
export const session = words.get("session") ?? fromPath ?? null;

if (words.has("token")) {
  setToken(words.get("token"));
  words.delete("token");
  const rest = String(words);
  history.replaceState(null, "", location.pathname + (rest ? `?${rest}` : "") + location.hash);
}

/** Keep a token for as long as this tab is open. */
export function setToken(token) {
  sessionStorage.setItem(TOKEN, token);
}

export class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Ask the control plane; throw what it says where it refuses. */
export async function ask(method, path, body) {
  const headers = {};
  const token = sessionStorage.getItem(TOKEN);
  if (token) headers.Authorization = `Bearer ${token}`;
  if (session !== null) headers["X-Mock-Session"] = session;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(new URL(path, root), { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch {
    throw new Refusal(0, "the server does not answer");
  }
  const text = await response.text();
  let answer = null;
  try {
    answer = text ? JSON.parse(text) : null;
  } catch {
    throw new Refusal(response.status, `the server answered ${response.status}, and not with JSON`);
  }
  if (!response.ok) throw new Refusal(response.status, answer?.error?.message ?? `the server answered ${response.status}`);
  return answer;
}

/** Open the stream of events; a browser can send no headers there. */
export function openEvents() {
  const url = new URL("events", root);
  const token = sessionStorage.getItem(TOKEN);
  if (token) url.searchParams.set("token", token);
  if (session !== null) url.searchParams.set("session", session);
  return new EventSource(url);
}
