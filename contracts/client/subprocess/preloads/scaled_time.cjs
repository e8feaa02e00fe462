// Let the waits and clocks of a Node program run CONTRACT_TIME_SCALE times as fast. A command's Node loads it by
// NODE_OPTIONS, before the program. Timeouts of sockets stay real: a busy machine does not answer any faster.
'use strict';

const timers = require('node:timers');
const promises = require('node:timers/promises');
const { syncBuiltinESMExports } = require('node:module');
const { promisify } = require('node:util');

const scale = Number(process.env.CONTRACT_TIME_SCALE);
const shorter = (wait) => (Number(wait) || 0) / scale;

for (const name of ['setTimeout', 'setInterval']) {
  const real = timers[name];
  const scaled = (work, wait, ...more) => real(work, shorter(wait), ...more);
  const realPromise = promises[name];
  promises[name] = (wait, ...more) => realPromise(shorter(wait), ...more);
  if (real[promisify.custom]) scaled[promisify.custom] = promises[name];
  timers[name] = globalThis[name] = scaled;
}
if (promises.scheduler) promises.scheduler.wait = (wait, options) => promises.setTimeout(wait, undefined, options);

const RealDate = Date;
const realNow = RealDate.now;
const start = realNow();
const now = () => Math.round(start + (realNow() - start) * scale);
RealDate.now = now;
globalThis.Date = new Proxy(RealDate, {
  construct: (target, given, made) => Reflect.construct(target, given.length ? given : [now()], made),
  apply: () => new RealDate(now()).toString(),
});

const realPerformance = performance.now.bind(performance);
Object.defineProperty(performance, 'now', { value: () => realPerformance() * scale, configurable: true, writable: true });

const realHrtime = process.hrtime;
const nanoseconds = () => BigInt(Math.round(Number(realHrtime.bigint()) * scale));
process.hrtime = (before) => {
  const found = nanoseconds() - (before ? BigInt(before[0]) * 1_000_000_000n + BigInt(before[1]) : 0n);
  return [Number(found / 1_000_000_000n), Number(found % 1_000_000_000n)];
};
process.hrtime.bigint = nanoseconds;

syncBuiltinESMExports();
