// A client of an asynchronous video API that keeps to the rules. For Node 20 and newer; needs nothing else.
// Copy it, and put your provider's words into the block below (they are EvoLink's).
//
//   API_KEY=... node client.mjs "A red kite over the sea"
//   contracts run --provider evolink --command 'node client.mjs'
//
// It submits once, waits (for a callback if it has an address for them, and asks when that is overdue), and
// downloads. What a passing trouble stops is tried again, after waits that grow; what is refused for good ends
// it with the provider's reason on standard error and exit code 1. The last line it prints is the file's name.

import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

// --- your provider -----------------------------------------------------------------------------------
const BASE_URL = 'https://api.evolink.ai';
const SUBMIT_PATH = '/v1/videos/generations';
const queryPath = (taskId) => `/v1/tasks/${encodeURIComponent(taskId)}`;
const authHeaders = (key) => ({ Authorization: `Bearer ${key}` });
const submitBody = (prompt, callbackUrl) => ({
  model: 'gemini-omni-flash-text-to-video',
  prompt,
  duration: 6,
  ...(callbackUrl && { callback_url: callbackUrl }),
});
const taskIdIn = (answer) => answer.id;
const statusIn = (answer) => answer.status;
const SUCCESS = ['completed'];
const FAILURE = ['failed', 'cancelled'];
const linkIn = (answer) => answer.results?.[0];
const reasonIn = (answer) => answer.error && `${answer.error.code}: ${answer.error.message}`;
const problemIn = (answer) => answer?.error?.message; // of a refusal
const calledBackAbout = (event) => event.id; // undefined for events that do not matter here
const SIGNATURE_HEADER = null; // EvoLink signs nothing; 'x-gemini-signature' elsewhere, HMAC-SHA256 in hex
const FIRST_WAIT_S = 5; // before the first query
const POLL_INTERVAL_S = 5; // between two
const MOST_POLLS = 100;
const GIVE_UP_AFTER_S = 600;
const CALLBACK_PATIENCE_S = 30; // then the task is asked after, callback or not
// --- end of your provider ----------------------------------------------------------------------------

const RETRY_WAITS_S = [1, 2, 4]; // and a random part
const PASSING = new Set([408, 429, 500, 502, 503, 504]);
const REQUEST_TIMEOUT_MS = 30_000;
const LARGEST_CALLBACK = 1_000_000;

const told = process.env;
const baseUrl = (told.CONTRACT_BASE_URL ?? told.BASE_URL ?? BASE_URL).replace(/\/+$/, '');
const apiKey = told.CONTRACT_API_KEY ?? told.API_KEY;
const prompt = told.CONTRACT_PROMPT ?? process.argv.slice(2).join(' ');
const output = told.CONTRACT_OUTPUT ?? 'video.mp4';
const callbackUrl = told.CONTRACT_CALLBACK_URL ?? told.CALLBACK_URL;
const callbackPort = Number(told.CONTRACT_CALLBACK_PORT ?? told.CALLBACK_PORT ?? 8080);
const callbackSecret = told.CONTRACT_CALLBACK_SECRET ?? told.CALLBACK_SECRET;

/** Trouble; `passes` tells whether another try may help, `waitS` how long the API asked to wait before it. */
class Trouble extends Error {
  constructor(message, { status = 0, passes = false, answered = false, waitS = 0 } = {}) {
    super(message);
    Object.assign(this, { status, passes, answered, waitS });
  }
}

/** Read Retry-After: seconds, or a date, compared with the server's own Date. */
function retryAfterS(headers) {
  const text = headers.get('retry-after')?.trim() ?? '';
  if (/^\d+$/.test(text)) return Number(text);
  const now = Date.parse(headers.get('date') ?? '') || Date.now();
  return Math.max(0, (Date.parse(text) - now) / 1000) || 0;
}

/** Do something with a signal that ends it in time. The timer also keeps Node alive until then: a `fetch` whose body
 * cannot be unpacked may never settle, and Node would end with exit code 0 as if all were done. */
async function inTime(milliseconds, work) {
  const over = new AbortController();
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => {
      over.abort();
      reject(new Error(`no whole answer within ${milliseconds / 1000} s`));
    }, milliseconds);
  });
  try {
    return await Promise.race([work(over.signal), late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Make one request to the API; return the answer as an object, or throw a Trouble. */
async function request(method, path, body) {
  let response, text;
  try {
    [response, text] = await inTime(REQUEST_TIMEOUT_MS, async (signal) => {
      const answered = await fetch(baseUrl + path, {
        method,
        headers: { ...authHeaders(apiKey), ...(body && { 'Content-Type': 'application/json' }) },
        body: body && JSON.stringify(body),
        redirect: 'error',
        signal,
      });
      return [answered, await answered.text()];
    });
  } catch (error) {
    throw new Trouble(`${method} ${path}: ${error.cause?.message ?? error.message}`, { passes: true });
  }
  let answer = null;
  try {
    answer = JSON.parse(text);
  } catch {
    // a page of some proxy's
  }
  if (!response.ok) {
    const requestId = response.headers.get('x-request-id');
    const why = problemIn(answer) ?? 'no reason given';
    throw new Trouble(`${response.status}: ${why}${requestId ? ` (request ${requestId})` : ''}`, {
      status: response.status,
      passes: PASSING.has(response.status),
      answered: true,
      waitS: retryAfterS(response.headers),
    });
  }
  if (answer === null || typeof answer !== 'object') {
    throw new Trouble(`${method} ${path}: the answer is not a JSON object`, { passes: true });
  }
  if (statusIn(answer) === undefined && problemIn(answer)) {
    throw new Trouble(`an error inside ${response.status}: ${problemIn(answer)}`, { passes: true });
  }
  return answer;
}

/** Try something again while what stops it passes. */
async function patiently(attempt, mayRepeat = (trouble) => trouble.passes) {
  for (let tries = 0; ; tries += 1) {
    try {
      return await attempt();
    } catch (trouble) {
      if (tries >= RETRY_WAITS_S.length || !(trouble instanceof Trouble) || !mayRepeat(trouble)) throw trouble;
      await sleep(1000 * Math.max(RETRY_WAITS_S[tries] + Math.random() / 2, trouble.waitS + Math.random() / 10));
    }
  }
}

/** Submit the job once: it is repeated only where an answer says that nothing was done. */
async function submit() {
  try {
    const answer = await patiently(
      () => request('POST', SUBMIT_PATH, submitBody(prompt, callbackUrl)),
      (trouble) => trouble.passes && trouble.answered,
    );
    const taskId = taskIdIn(answer);
    if (typeof taskId !== 'string') throw new Trouble('the answer to the submit names no task');
    return taskId;
  } catch (trouble) {
    if (!trouble.passes || trouble.answered) throw trouble;
    throw new Error(`${trouble.message}; there may be a task, and it may be paid for: look before you repeat it`);
  }
}

/** Wait until the task has ended, by a callback or by asking; return the link of its file. */
async function finished(taskId, calledBack) {
  const deadline = performance.now() + GIVE_UP_AFTER_S * 1000;
  await calledBack(taskId, callbackUrl ? CALLBACK_PATIENCE_S : FIRST_WAIT_S);
  for (let polls = 0; polls < MOST_POLLS && performance.now() < deadline; polls += 1) {
    const answer = await patiently(() => request('GET', queryPath(taskId))).catch((trouble) => {
      if (trouble.status === 404) return {}; // it is not to be found yet
      throw trouble;
    });
    const status = String(statusIn(answer)).toLowerCase(); // an unknown status is not an end
    if (FAILURE.includes(status)) throw new Error(`the task ${status}: ${reasonIn(answer) ?? 'no reason given'}`);
    if (SUCCESS.includes(status) && linkIn(answer)) return linkIn(answer);
    await calledBack(taskId, POLL_INTERVAL_S);
  }
  throw new Error(`${taskId} has not ended after ${GIVE_UP_AFTER_S} s or ${MOST_POLLS} queries`);
}

/** Fetch the file: as the link says, without the key, and whole. */
async function download(link) {
  let response, content;
  try {
    [response, content] = await inTime(10 * REQUEST_TIMEOUT_MS, async (signal) => {
      const answered = await fetch(link, { signal });
      return [answered, Buffer.from(await answered.arrayBuffer())];
    });
  } catch (error) {
    throw new Trouble(`the file: ${error.cause?.message ?? error.message}`, { passes: true });
  }
  if (response.status !== 200) {
    throw new Trouble(`the file's link answered ${response.status}`, { passes: PASSING.has(response.status) });
  }
  const length = response.headers.get('content-length');
  if (length !== null && !response.headers.has('content-encoding') && Number(length) !== content.length) {
    throw new Trouble(`${content.length} of ${length} bytes of the file came`, { passes: true });
  }
  return content;
}

/** Check a signature over the bytes as they came, in constant time, whatever its length. */
function signedWell(headers, body) {
  if (!SIGNATURE_HEADER || !callbackSecret) return true;
  const digest = (text) => createHash('sha256').update(text).digest();
  const wanted = createHmac('sha256', callbackSecret).update(body).digest('hex');
  return timingSafeEqual(digest(wanted), digest(headers[SIGNATURE_HEADER] ?? ''));
}

/**
 * Listen for callbacks. They only wake the code that waits for the task and then queries it: one that is
 * repeated, comes early or in another order, or tells something else than the API, does no harm.
 */
async function receiver() {
  const toldOf = new Set();
  let wake = () => {};
  const calledBack = async (taskId, seconds) => {
    const over = new AbortController();
    const woken = new Promise((resolve) => {
      wake = (id) => id === taskId && resolve();
      if (toldOf.delete(taskId)) resolve();
    });
    await Promise.race([woken, sleep(seconds * 1000, undefined, { signal: over.signal }).catch(() => {})]);
    over.abort();
    toldOf.delete(taskId);
    wake = () => {};
  };
  if (!callbackUrl) return { calledBack, close: () => {} };

  const handle = (headers, body) => {
    if (!signedWell(headers, body)) return 401;
    let event;
    try {
      event = JSON.parse(body.toString('utf8'));
    } catch {
      return 400;
    }
    if (event === null || typeof event !== 'object') return 400;
    const taskId = calledBackAbout(event);
    if (taskId !== undefined && toldOf.size < 1000) toldOf.add(taskId);
    wake(taskId);
    return 200;
  };
  const server = createServer((incoming, outgoing) => {
    const parts = [];
    let size = 0;
    incoming.on('error', () => {});
    incoming.on('data', (part) => {
      size += part.length;
      if (size <= LARGEST_CALLBACK) parts.push(part);
    });
    incoming.on('end', () => {
      const status = size > LARGEST_CALLBACK ? 413 : handle(incoming.headers, Buffer.concat(parts));
      outgoing.writeHead(status).end();
    });
  });
  server.listen(callbackPort, told.CALLBACK_HOST ?? '127.0.0.1');
  await once(server, 'listening');
  return {
    calledBack,
    close: () => {
      server.close();
      server.closeIdleConnections();
    },
  };
}

async function main() {
  if (!apiKey || !prompt) throw new Error('usage: API_KEY=... node client.mjs PROMPT');
  const { calledBack, close } = await receiver();
  try {
    const link = await finished(await submit(), calledBack);
    await writeFile(output, await patiently(() => download(link)));
    console.log(output);
  } finally {
    close();
  }
}

main().catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
