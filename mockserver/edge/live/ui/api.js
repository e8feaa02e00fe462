// Calls the control plane, with the session from the address and the admin token.

const TOKEN = "mockserver-admin-token";
const root = new URL("../", import.meta.url);
const query = new URLSearchParams(location.search);

const fromPath = root.pathname.match(/^\/~([^/]+)\//)?.[1];

/** The session to show: from the query, or from the start of the path. */
export const session = query.get("session") ?? fromPath ?? null;

if (query.has("token")) {
  setToken(query.get("token"));
  query.delete("token");
  const rest = String(query);
  history.replaceState(null, "", location.pathname + (rest ? `?${rest}` : "") + location.hash);
}

/** Keep the token while this tab is open. */
export function setToken(token) {
  sessionStorage.setItem(TOKEN, token);
}

export class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Send a request; throw a Refusal if it fails. */
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
    throw new Refusal(0, "the server does not respond");
  }
  const text = await response.text();
  let answer = null;
  try {
    answer = text ? JSON.parse(text) : null;
  } catch {
    throw new Refusal(response.status, `the server returned ${response.status} without JSON`);
  }
  if (!response.ok) throw new Refusal(response.status, answer?.error?.message ?? `the server returned ${response.status}`);
  return answer;
}

/** Open the event stream; the browser cannot send headers with it. */
export function openEvents() {
  const url = new URL("events", root);
  const token = sessionStorage.getItem(TOKEN);
  if (token) url.searchParams.set("token", token);
  if (session !== null) url.searchParams.set("session", session);
  return new EventSource(url);
}
