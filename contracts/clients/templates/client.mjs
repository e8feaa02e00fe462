// A client of an asynchronous video API that keeps the rules. For Node 20 and newer, without dependencies.
// Copy it, and put your provider's names into the block below (they are those of EvoLink).
//
//   API_KEY=... node client.mjs "A red kite over the sea"
//   contracts run --provider evolink --command 'node client.mjs'
//
// It submits once, waits for the task (with a callback URL, for a callback; it polls when that is overdue), and
// downloads the file. Temporary failures are retried after growing waits; a final refusal ends it with the
// provider's reason on standard error and exit code 1. The last line of its output is the file name.

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
const callbackTaskId = (event) => event.id; // the task's id; undefined for other events
const SIGNATURE_HEADER = null; // of an HMAC-SHA256 in hex, such as 'x-gemini-signature'; EvoLink does not sign
const FIRST_WAIT_S = 5; // before the first query
const POLL_INTERVAL_S = 5; // between two queries
const MOST_POLLS = 100;
const GIVE_UP_AFTER_S = 600;
const CALLBACK_PATIENCE_S = 30; // before the first query, if a callback is expected
// --- end of your provider ----------------------------------------------------------------------------

const RETRY_WAITS_S = [1, 2, 4]; // plus jitter
const TEMPORARY = new Set([408, 429, 500, 502, 503, 504]);
const REQUEST_TIMEOUT_MS = 30_000;
const LARGEST_CALLBACK = 1_000_000;

const env = process.env;
const baseUrl = (env.CONTRACT_BASE_URL ?? env.BASE_URL ?? BASE_URL).replace(/\/+$/, '');
const apiKey = env.CONTRACT_API_KEY ?? env.API_KEY;
const prompt = env.CONTRACT_PROMPT ?? process.argv.slice(2).join(' ');
const output = env.CONTRACT_OUTPUT ?? 'video.mp4';
const callbackUrl = env.CONTRACT_CALLBACK_URL ?? env.CALLBACK_URL;
const callbackPort = Number(env.CONTRACT_CALLBACK_PORT ?? env.CALLBACK_PORT ?? 8080);
const callbackSecret = env.CONTRACT_CALLBACK_SECRET ?? env.CALLBACK_SECRET;

/** A failed request: whether a retry may succeed, whether an answer was received, and Retry-After. */
class CallError extends Error {
  constructor(message, { status = 0, retryable = false, answered = false, waitS = 0 } = {}) {
    super(message);
    Object.assign(this, { status, retryable, answered, waitS });
  }
}

/** Read Retry-After: seconds, or a date, which is compared with the server's Date. */
function retryAfterS(headers) {
  const text = headers.get('retry-after')?.trim() ?? '';
  if (/^\d+$/.test(text)) return Number(text);
  const now = Date.parse(headers.get('date') ?? '') || Date.now();
  return Math.max(0, (Date.parse(text) - now) / 1000) || 0;
}

/** Run something with a time limit. The timer also keeps Node alive until then: a `fetch` whose body cannot be
 * decompressed may never settle, and Node would exit with code 0. */
async function inTime(milliseconds, work) {
  const over = new AbortController();
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => {
      over.abort();
      reject(new Error(`no complete answer within ${milliseconds / 1000} s`));
    }, milliseconds);
  });
  try {
    return await Promise.race([work(over.signal), late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Send one request to the API; return the answer as an object, or throw a CallError. */
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
    throw new CallError(`${method} ${path}: ${error.cause?.message ?? error.message}`, { retryable: true });
  }
  let answer = null;
  try {
    answer = JSON.parse(text);
  } catch {
    // not JSON, for example a page from a proxy
  }
  if (!response.ok) {
    const requestId = response.headers.get('x-request-id');
    const why = problemIn(answer) ?? 'no reason given';
    throw new CallError(`${response.status}: ${why}${requestId ? ` (request ${requestId})` : ''}`, {
      status: response.status,
      retryable: TEMPORARY.has(response.status),
      answered: true,
      waitS: retryAfterS(response.headers),
    });
  }
  if (answer === null || typeof answer !== 'object') {
    throw new CallError(`${method} ${path}: the answer is not a JSON object`, { retryable: true });
  }
  if (statusIn(answer) === undefined && problemIn(answer)) {
    throw new CallError(`an error inside ${response.status}: ${problemIn(answer)}`, { retryable: true });
  }
  return answer;
}

/** Retry temporary failures. */
async function withRetries(attempt, mayRetry = (error) => error.retryable) {
  for (let tries = 0; ; tries += 1) {
    try {
      return await attempt();
    } catch (error) {
      if (tries >= RETRY_WAITS_S.length || !(error instanceof CallError) || !mayRetry(error)) throw error;
      await sleep(1000 * Math.max(RETRY_WAITS_S[tries] + Math.random() / 2, error.waitS + Math.random() / 10));
    }
  }
}

/** Submit the job once: repeat the request only after an answer that says that nothing was done. */
async function submit() {
  try {
    const answer = await withRetries(
      () => request('POST', SUBMIT_PATH, submitBody(prompt, callbackUrl)),
      (error) => error.retryable && error.answered,
    );
    const taskId = taskIdIn(answer);
    if (typeof taskId !== 'string') throw new CallError('the answer to the submit names no task');
    return taskId;
  } catch (error) {
    if (!error.retryable || error.answered) throw error;
    throw new Error(`${error.message}; the task may exist and be charged: check before repeating it`);
  }
}

/** Wait until the task has ended, with callbacks or by polling; return the link to its file. */
async function waitForEnd(taskId, calledBack) {
  const deadline = performance.now() + GIVE_UP_AFTER_S * 1000;
  await calledBack(taskId, callbackUrl ? CALLBACK_PATIENCE_S : FIRST_WAIT_S);
  for (let polls = 0; polls < MOST_POLLS && performance.now() < deadline; polls += 1) {
    const answer = await withRetries(() => request('GET', queryPath(taskId))).catch((error) => {
      if (error.status === 404) return {}; // not found yet
      throw error;
    });
    const status = String(statusIn(answer)).toLowerCase(); // an unknown status is not an end
    if (FAILURE.includes(status)) throw new Error(`the task ${status}: ${reasonIn(answer) ?? 'no reason given'}`);
    if (SUCCESS.includes(status) && linkIn(answer)) return linkIn(answer);
    await calledBack(taskId, POLL_INTERVAL_S);
  }
  throw new Error(`${taskId} has not ended after ${GIVE_UP_AFTER_S} s or ${MOST_POLLS} queries`);
}

/** Download the complete file from the link as given, without the key. */
async function download(link) {
  let response, content;
  try {
    [response, content] = await inTime(10 * REQUEST_TIMEOUT_MS, async (signal) => {
      const answered = await fetch(link, { signal });
      return [answered, Buffer.from(await answered.arrayBuffer())];
    });
  } catch (error) {
    throw new CallError(`the file: ${error.cause?.message ?? error.message}`, { retryable: true });
  }
  if (response.status !== 200) {
    throw new CallError(`the file's link answered ${response.status}`, { retryable: TEMPORARY.has(response.status) });
  }
  const length = response.headers.get('content-length');
  if (length !== null && !response.headers.has('content-encoding') && Number(length) !== content.length) {
    throw new CallError(`only ${content.length} of ${length} bytes of the file were received`, { retryable: true });
  }
  return content;
}

/** Check a signature over the raw bytes, in constant time, whatever its length. */
function isSigned(headers, body) {
  if (!SIGNATURE_HEADER || !callbackSecret) return true;
  const digest = (text) => createHash('sha256').update(text).digest();
  const wanted = createHmac('sha256', callbackSecret).update(body).digest('hex');
  return timingSafeEqual(digest(wanted), digest(headers[SIGNATURE_HEADER] ?? ''));
}

/**
 * Listen for callbacks. A callback only triggers a query of its task, so repeated, early, reordered and
 * contradicting callbacks do no harm.
 */
async function receiver() {
  const reported = new Set();
  let wake = () => {};
  const calledBack = async (taskId, seconds) => {
    const over = new AbortController();
    const woken = new Promise((resolve) => {
      wake = (id) => id === taskId && resolve();
      if (reported.delete(taskId)) resolve();
    });
    await Promise.race([woken, sleep(seconds * 1000, undefined, { signal: over.signal }).catch(() => {})]);
    over.abort();
    reported.delete(taskId);
    wake = () => {};
  };
  if (!callbackUrl) return { calledBack, close: () => {} };

  const handle = (headers, body) => {
    if (!isSigned(headers, body)) return 401;
    let event;
    try {
      event = JSON.parse(body.toString('utf8'));
    } catch {
      return 400;
    }
    if (event === null || typeof event !== 'object') return 400;
    const taskId = callbackTaskId(event);
    if (taskId !== undefined && reported.size < 1000) reported.add(taskId);
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
  server.listen(callbackPort, env.CALLBACK_HOST ?? '127.0.0.1');
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
    const link = await waitForEnd(await submit(), calledBack);
    await writeFile(output, await withRetries(() => download(link)));
    console.log(output);
  } finally {
    close();
  }
}

main().catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
