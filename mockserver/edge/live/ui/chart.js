// Draws the time axis and the lanes. Each lane has a fixed number of nodes, whatever happens on it.

import { duration, el, setAttribute, setText, svg, timeOf, dateOf } from "./dom.js";

const AUTO_SPAN_MS = 600_000;
const SHORTEST_SPAN_MS = 20_000;
const TICK_EVERY_PX = 78;
const STEPS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21_600, 43_200, 86_400];
const LABEL_PX = 6.6;
const SEGMENTS = 8;
// From top to bottom: faults, states, callbacks, polls and downloads.
const HEIGHT = 46;
const BAR = { y: 10.5, height: 14 };
const MIDDLE = BAR.y + BAR.height / 2;
const CALLBACKS_Y = 32;
const POLLS_Y = 38;
const ENDS = new Set(["success", "failure", "cancellation"]);

export const submitted = (task) => Date.parse(task.submitted_at);
export const endOf = (task) => (task.ends_at === null ? null : Date.parse(task.ends_at));

/** The instant of the last known event of a task. */
function lastOf(task, deliveries, marks) {
  const attempts = deliveries.flatMap((each) => each.attempts.map((attempt) => Date.parse(attempt.at)));
  return Math.max(task.course.at(-1).from_ms, marks.at(-1)?.at ?? 0, ...attempts);
}

/** Choose the range of time to show. */
export function timeRange(tasks, facts, now, choice) {
  if (!tasks.length) return { from: now - SHORTEST_SPAN_MS, to: now };
  const running = tasks.filter((each) => !each.ended);
  const lasts = tasks.map((each) => lastOf(each, ...facts(each)));
  let to = running.length ? Math.max(now, ...running.map((each) => endOf(each) ?? now)) : Math.max(...lasts);
  let from = Math.min(...tasks.map(submitted));
  if (choice === "auto") {
    const near = tasks.map(submitted).filter((at) => at >= to - AUTO_SPAN_MS);
    from = near.length ? Math.min(...near) : to - AUTO_SPAN_MS;
  } else if (choice !== "all") {
    to = Math.max(to, now);
    from = to - Number(choice) * 1000;
  }
  const span = Math.max(to - from, SHORTEST_SPAN_MS);
  return { from: from - span * 0.02, to: from + span * 1.05 };
}

/** Return the scale that converts instants to pixels. */
export function scaleOf({ from, to }, width) {
  return { from, to, width, x: (ms) => ((ms - from) / (to - from)) * width };
}

function ticksOf(scale) {
  const wanted_s = ((scale.to - scale.from) / 1000) * (TICK_EVERY_PX / scale.width);
  const step = 1000 * (STEPS_S.find((each) => each >= wanted_s) ?? Math.ceil(wanted_s / 86_400) * 86_400);
  const ticks = [];
  for (let at = Math.ceil(scale.from / step) * step; at <= scale.to; at += step) ticks.push(at);
  return { ticks, step };
}

/** Draw the axis: its labels, and now. */
export function drawAxis(box, scale, now) {
  const parts = (box.parts ??= makeAxis(box));
  const { ticks, step } = ticksOf(scale);
  parts.labels.replaceChildren(
    ...ticks
      .filter((at) => scale.x(at) > 26 && scale.x(at) < scale.width - 26)
      .map((at) => svg("text", { x: scale.x(at), y: 13, text: step < 86_400_000 ? timeOf(at) : dateOf(at) })),
  );
  const x = scale.x(now);
  const inside = x >= 0 && x <= scale.width;
  setAttribute(parts.line, "d", inside ? `M${x} 18V34` : "");
  setText(parts.now, inside ? "now" : `now: ${duration(now - scale.to)} later ›`);
  setAttribute(parts.now, "x", inside ? Math.min(Math.max(x, 14), scale.width - 14) : scale.width - 4);
  setAttribute(parts.now, "class", inside ? "axis-now" : "axis-now at-end");
  return ticks.map((at) => `M${scale.x(at)} 0V${HEIGHT}`).join("");
}

function makeAxis(box) {
  const parts = { labels: svg("g"), line: svg("path", { class: "now-line" }), now: svg("text", { y: 30, class: "axis-now" }) };
  box.append(svg("svg", { class: "axis-svg", focusable: "false" }, parts.labels, parts.line, parts.now));
  return parts;
}

/** Create the drawing of a lane. */
export function makeTrack() {
  const parts = { grid: svg("path", { class: "gridlines" }), expected: svg("rect", { class: "expected", y: BAR.y + 0.5, height: BAR.height - 1, rx: 3 }), bars: [], labels: [] };
  const bars = svg("g");
  for (let index = 0; index < SEGMENTS; index += 1) {
    parts.bars.push(svg("rect", { y: BAR.y, height: BAR.height }));
    parts.labels.push(svg("text", { y: MIDDLE + 3.5, class: "bar-label" }));
    bars.append(parts.bars[index], parts.labels[index]);
  }
  const names = ["now", "polls", "refused", "downloads", "faults", "due", "taken", "not-taken", "end"];
  for (const name of names) parts[name] = svg("path", { class: `mark-${name}` });
  parts.aside = svg("text", { x: 6, y: MIDDLE + 4, class: "aside" });
  const track = svg("svg", { class: "track", role: "img" }, parts.grid, parts.expected, bars, ...names.map((name) => parts[name]), parts.aside);
  track.parts = parts;
  return track;
}

const diamond = (x) => `M${x} ${CALLBACKS_Y - 5}l5 5l-5 5l-5 -5z`;
const cross = (x) => `M${x - 4} ${MIDDLE - 4}l8 8M${x + 4} ${MIDDLE - 4}l-8 8`;
const disc = (x) => `M${x - 5} ${MIDDLE}a5 5 0 1 0 10 0a5 5 0 1 0 -10 0z`;
const square = (x) => `M${x - 4} ${MIDDLE - 4}h8v8h-8z`;
const tick = (x) => `M${x} ${POLLS_Y}v6`;
const arrow = (x) => `M${x} ${POLLS_Y - 1}v7m-3 -3l3 3l3 -3`;
const wedge = (x) => `M${x - 4.5} 1h9l-4.5 7.5z`;
const END_MARKS = { success: disc, failure: cross, cancellation: square };
const MARKS = { ...END_MARKS, polls: tick, downloads: arrow, faults: wedge, taken: diamond, "not-taken": diamond };
const MARK_Y = { polls: POLLS_Y - 4, downloads: POLLS_Y - 4, faults: -2, taken: CALLBACKS_Y - 7, "not-taken": CALLBACKS_Y - 7 };

/** Draw a task. */
export function drawTrack(track, scale, now, grid, task, deliveries, marks) {
  const { parts } = track;
  const at = (list, mark) => list.map((ms) => scale.x(ms)).filter((x) => x > -8 && x < scale.width + 8).map(mark).join("");
  const put = (name, d) => setAttribute(parts[name], "d", d);
  const end = task.course.find((each) => ENDS.has(each.kind));
  const segments = task.course.filter((each) => !ENDS.has(each.kind));
  const attempts = deliveries.flatMap((each) => each.attempts);
  const when = (list) => list.map((each) => Date.parse(each.at));
  put("grid", grid);
  drawBars(parts, scale, segments, end?.from_ms ?? now);
  const expected = end ? null : endOf(task);
  const rest = expected === null ? 0 : scale.x(expected) - scale.x(now);
  setAttribute(parts.expected, "x", scale.x(now));
  setAttribute(parts.expected, "width", Math.max(0, rest));
  put("now", at([now], (x) => `M${x} 0V${HEIGHT}`));
  put("polls", at(marks.filter((each) => each.what === "poll" && !each.bad).map((each) => each.at), tick));
  put("downloads", at(marks.filter((each) => each.what === "download" && !each.bad).map((each) => each.at), arrow));
  put("refused", at(marks.filter((each) => each.what && each.bad).map((each) => each.at), tick));
  put("faults", at(marks.filter((each) => each.faulty).map((each) => each.at), wedge));
  put("taken", at(when(attempts.filter((each) => each.outcome === "acknowledged")), diamond));
  put("not-taken", at(when(attempts.filter((each) => each.outcome !== "acknowledged")), diamond));
  put("due", at(deliveries.filter((each) => each.state === "waiting").map((each) => Date.parse(each.due)), diamond));
  put("end", end ? at([end.from_ms], END_MARKS[end.kind]) : "");
  setAttribute(parts.end, "data-kind", end?.kind);
  const last = lastOf(task, deliveries, marks);
  const before = (end?.from_ms ?? now) < scale.from;
  setText(parts.aside, before && last < scale.from ? `‹ ended ${timeOf(end.from_ms)}` : "");
}

function drawBars(parts, scale, segments, until) {
  const shown = segments.slice(-SEGMENTS);
  parts.bars.forEach((bar, index) => {
    const each = shown[index];
    const left = each ? Math.max(scale.x(each.from_ms), -4) : 0;
    const right = each ? Math.min(scale.x(shown[index + 1]?.from_ms ?? until), scale.width + 4) : 0;
    const width = Math.max(0, right - left);
    const label = each?.kind === "held" ? "held" : each?.state ?? "";
    const fits = width > label.length * LABEL_PX + 10;
    setAttribute(bar, "x", left);
    setAttribute(bar, "width", width);
    setAttribute(bar, "class", each ? `bar-${each.kind}` : null);
    setText(parts.labels[index], fits ? label : "");
    setAttribute(parts.labels[index], "x", Math.max(left, 0) + 5);
    setAttribute(parts.labels[index], "data-kind", each?.kind);
  });
}

/** Describe the drawing in words. */
export function describe(task, deliveries, marks, now) {
  const parts = task.course.map((each, index) => {
    if (ENDS.has(each.kind)) return `${each.state} at ${timeOf(each.from_ms)}`;
    const until = task.course[index + 1]?.from_ms ?? now;
    return `${each.kind === "held" ? "held" : each.state} ${duration(until - each.from_ms)}`;
  });
  const polls = marks.filter((each) => each.what === "poll").length;
  const attempts = deliveries.flatMap((each) => each.attempts);
  const faulty = marks.filter((each) => each.faulty).length;
  if (polls) parts.push(`${polls} ${polls === 1 ? "poll" : "polls"}`);
  if (attempts.length) parts.push(`callback ${attempts.map((each) => each.outcome).join(", then ")}`);
  if (faulty) parts.push(`${faulty} ${faulty === 1 ? "request" : "requests"} with a fault`);
  return parts.join("; ");
}

/** Create the legend. */
export function legend() {
  const rows = [
    ["polls", "poll"],
    ["downloads", "download"],
    ["success", "succeeded"],
    ["failure", "failed"],
    ["cancellation", "cancelled"],
    ["taken", "callback acknowledged"],
    ["not-taken", "callback failed"],
    ["faults", "fault"],
  ];
  return rows.map(([name, label]) => {
    const isEnd = name in END_MARKS;
    const path = svg("path", { class: isEnd ? "mark-end" : `mark-${name}`, "data-kind": isEnd ? name : null, d: MARKS[name](8) });
    return el("li", {}, svg("svg", { class: "key", viewBox: `0 ${MARK_Y[name] ?? MIDDLE - 7} 16 14`, "aria-hidden": "true" }, path), label);
  });
}

