// Let a Node program use the proxy of its environment where Node itself does not: for `http` and `https` with any
// agent, and for `fetch`. A client's Node loads it by NODE_OPTIONS, before the program. It needs no package.
'use strict';

const http = require('node:http');
const https = require('node:https');
const net = require('node:net');
const tls = require('node:tls');

const DISPATCHER = Symbol.for('undici.globalDispatcher.1');
const { env } = process;

const hostOf = (name) => String(name || 'localhost').replace(/^\[|\]$/g, '').toLowerCase();

// Tell whether NO_PROXY names a host: itself, a domain above it, or all.
function isExcepted(host, port) {
  if (host === 'localhost' || host === '::1' || /^127\./.test(host)) return true;
  return (env.NO_PROXY || env.no_proxy || '').toLowerCase().split(/[\s,]+/).filter(Boolean).some((entry) => {
    const [, name, only] = /^(.*?)(?::(\d+))?$/.exec(entry.replace(/^\*?\./, ''));
    if (entry === '*' || entry === host) return true;
    return (!only || Number(only) === port) && (host === name || host.endsWith(`.${name}`));
  });
}

// Find the proxy for a host; null where there is none, or one that is not reached by plain HTTP.
function proxyFor(secure, host, port) {
  const text = secure ? env.HTTPS_PROXY || env.https_proxy : env.HTTP_PROXY || env.http_proxy;
  if (!text || isExcepted(host, port)) return null;
  try {
    const url = new URL(text.includes('://') ? text : `http://${text}`);
    return url.protocol === 'http:' ? url : null;
  } catch {
    return null;
  }
}

// Ask a proxy for a tunnel to a host; calls back with a socket that leads there.
function tunnel(proxy, host, port, callback) {
  const target = `${net.isIPv6(host) ? `[${host}]` : host}:${port}`;
  const headers = { host: target };
  if (proxy.username) {
    const words = `${decodeURIComponent(proxy.username)}:${decodeURIComponent(proxy.password)}`;
    headers['proxy-authorization'] = `Basic ${Buffer.from(words).toString('base64')}`;
  }
  const createConnection = () => net.connect(Number(proxy.port) || 80, hostOf(proxy.hostname));
  const request = http.request({ method: 'CONNECT', path: target, headers, createConnection });
  request.once('error', callback);
  request.once('connect', (answer, socket, head) => {
    if (answer.statusCode !== 200) {
      socket.destroy();
      const error = new Error(answer.statusMessage || `the proxy answered ${answer.statusCode} to CONNECT ${target}`);
      callback(Object.assign(error, { code: 'ERR_PROXY_TUNNEL', statusCode: answer.statusCode }));
      return;
    }
    if (head.length) socket.unshift(head);
    callback(null, socket);
  });
  request.end();
}

for (const [Agent, secure] of [[http.Agent, false], [https.Agent, true]]) {
  const direct = Agent.prototype.createConnection;
  Agent.prototype.createConnection = function createConnection(...given) {
    const [options, callback] = given;
    const usual = () => direct.apply(this, given);
    // Not for what has a socket already, nor for an agent that Node itself lets use the proxy.
    if (options === null || typeof options !== 'object' || typeof callback !== 'function') return usual();
    if (options.socketPath || options.socket || (this.options && this.options.proxyEnv)) return usual();
    const host = hostOf(options.host || options.hostname);
    const port = Number(options.port) || (secure ? 443 : 80);
    const proxy = proxyFor(secure, host, port);
    if (!proxy) return usual();
    tunnel(proxy, host, port, (error, socket) => {
      if (error) callback(error);
      else callback(null, secure ? direct.call(this, { ...options, socket }, callback) : socket);
    });
    return undefined;
  };
}

// The connections of `fetch` that go through a proxy; its own `Agent` takes a function for that.
function connect({ hostname, protocol, port, servername }, callback) {
  const secure = protocol === 'https:';
  const host = hostOf(hostname);
  const where = Number(port) || (secure ? 443 : 80);
  tunnel(proxyFor(secure, host, where), host, where, (error, socket) => {
    if (error || !secure) {
      callback(error, socket);
      return;
    }
    const name = servername || (net.isIP(host) ? '' : host);
    const encrypted = tls.connect({ socket, host, servername: name, ALPNProtocols: ['http/1.1'] });
    encrypted.once('error', callback);
    encrypted.once('secureConnect', () => {
      encrypted.removeListener('error', callback);
      callback(null, encrypted);
    });
  });
}

// Put a dispatcher in place of Node's own that goes through the proxy where there is one.
function replaceDispatcher() {
  const usual = globalThis[DISPATCHER];
  if (!usual) return;
  const Agent = usual.constructor;
  const tunnelled = new Agent({ connect });
  class ByEnvironment extends Agent {
    dispatch(options, handler) {
      const { protocol, hostname, port } = new URL(options.origin);
      const secure = protocol === 'https:';
      const proxy = proxyFor(secure, hostOf(hostname), Number(port) || (secure ? 443 : 80));
      return (proxy ? tunnelled : usual).dispatch(options, handler);
    }
  }
  globalThis[DISPATCHER] = new ByEnvironment();
}

// Loading what is behind `fetch` takes a while, so that waits until somebody asks for its dispatcher: `fetch` here, or
// the package undici. One that the program sets replaces this.
if (typeof globalThis.fetch === 'function' && !process.allowedNodeEnvironmentFlags.has('--use-env-proxy')) {
  let isLoading = false;
  let isDue = false;
  const replaceIfDue = () => {
    if (isDue) replaceDispatcher();
    isDue = false;
  };
  const get = () => {
    if (isLoading) return undefined;
    isLoading = isDue = true;
    void globalThis.Headers;
    if (Object.getOwnPropertyDescriptor(globalThis, DISPATCHER).get === get) {
      queueMicrotask(replaceIfDue); // it is being loaded, and asks itself
      return undefined;
    }
    replaceIfDue();
    return globalThis[DISPATCHER];
  };
  Object.defineProperty(globalThis, DISPATCHER, { get, configurable: true, enumerable: false });
  const real = globalThis.fetch;
  globalThis.fetch = function fetch(...given) {
    void globalThis[DISPATCHER];
    replaceIfDue();
    return real.apply(this, given);
  };
}
