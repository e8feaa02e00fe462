// An opened lane: the commands, details, callbacks and request of its task.

import { ask } from "./api.js";
import { byId, dateOf, duration, el, exactTimeOf, isUsable, number, reconcile, setText, setUsable, shortId } from "./dom.js";
import { showOnly } from "./requests.js";
import { perform } from "./say.js";

const KINDS = { held: "held" };

/** Create the panel of a lane. */
export function makePanel(task, store) {
  const provider = store.providers.get(task.provider);
  const reasons = provider?.ends.find((each) => each.kind === "failure")?.reasons ?? [];
  const cancellable = provider?.ends.some((each) => each.kind === "cancellation") ?? false;
  const command = (name, body) => () => {
    const button = parts[name === "release" ? "hold" : name];
    if (isUsable(button)) perform(() => ask("POST", `tasks/${encodeURIComponent(task.id)}/${name}`, body?.()), (now) => `${shortId(task.id)} is ${!now.ended && now.held ? "held" : now.status}.`);
  };
  const reason = el(
    "select",
    { "aria-label": "Reason of the failure" },
    ...reasons.map((each) => el("option", { value: each.code, text: each.code, title: each.message })),
  );
  const parts = {
    hold: el("button", { type: "button", click: () => command(parts.hold.dataset.command)() }),
    complete: el("button", { type: "button", text: "Complete", click: command("complete") }),
    fail: el("button", { type: "button", class: "bad", text: "Fail", click: command("fail", () => (reason.value ? { reason: reason.value } : {})) }),
    cancel: el("button", { type: "button", text: "Cancel", click: command("cancel") }),
    facts: el("dl", { class: "facts" }),
    course: el("ol", { class: "course" }),
    callbacks: el("ul", { class: "callbacks" }),
    request: el("div"),
  };
  parts.cancel.hidden = !cancellable;
  reason.hidden = reasons.length === 0;
  const buttons = el(
    "div",
    { class: "actions", role: "group", "aria-label": "Task commands" },
    parts.hold,
    parts.complete,
    parts.cancel,
    el("span", { class: "joined" }, reason, parts.fail),
    el("button", { type: "button", class: "quiet", text: "Show requests", click: () => showOnly(task.id) }),
    el("button", { type: "button", class: "quiet", text: "Show request body", click: () => showRequest(task, parts.request) }),
  );
  const node = el("div", { class: "lane-panel" }, buttons, el("div", { class: "columns" }, parts.facts, el("div", {}, parts.course, parts.callbacks)), parts.request);
  node.parts = parts;
  return node;
}

async function showRequest(task, box) {
  const found = await perform(() => ask("GET", `tasks/${encodeURIComponent(task.id)}`), "");
  if (found) box.replaceChildren(el("pre", { tabindex: "0", "aria-label": "Request body", text: JSON.stringify(found.request, null, 2) }));
}

/** Update the panel of a lane. */
export function updatePanel(node, task, store, deliveries) {
  const { parts } = node;
  const held = task.course.at(-1).kind === "held";
  setText(parts.hold, held ? "Release" : "Hold");
  parts.hold.dataset.command = held ? "release" : "hold";
  for (const name of ["hold", "complete", "fail", "cancel"]) setUsable(parts[name], !task.ended);
  const facts = [
    ["task", task.id],
    ["model", task.model],
    ["account", task.account],
    ["submitted", instant(Date.parse(task.submitted_at))],
    [task.ended ? "ended" : "expected end", task.ends_at === null ? "none while held" : instant(Date.parse(task.ends_at))],
    ["credits", `${number(task.reserved_credits)} reserved, ${number(task.charged_credits)} charged`],
    ...(task.reason ? [["reason", task.reason]] : []),
    ...(task.callback_url ? [["callback to", task.callback_url]] : []),
  ];
  reconcile(parts.facts, facts, ([name]) => name, makeFact, (each, [, value]) => setText(each.lastChild, value));
  const steps = task.course.map((each, index) => ({ ...each, index, until: task.course[index + 1]?.from_ms ?? store.now }));
  reconcile(parts.course, steps, (each) => each.index, () => el("li"), (each, step) => {
    const lasts = step.until > step.from_ms && !(task.ended && step.index === steps.length - 1);
    setText(each, `${exactTimeOf(step.from_ms)}  ${KINDS[step.kind] ?? step.state}${lasts ? `, ${duration(step.until - step.from_ms)}` : ""}`);
  });
  reconcile(parts.callbacks, deliveries, (each) => each.id, makeDelivery, updateDelivery);
}

const instant = (ms) => `${dateOf(ms)} ${exactTimeOf(ms)}`;

function makeFact([name]) {
  return el("div", {}, el("dt", { text: name }), el("dd"));
}

function makeDelivery(delivery) {
  const parts = { state: el("span"), attempts: el("ol", { class: "attempts" }) };
  parts.again = el("button", {
    type: "button",
    class: "quiet",
    text: "Redeliver",
    "aria-label": `Redeliver ${delivery.id}`,
    click: () => {
      if (isUsable(parts.again)) perform(() => ask("POST", `callbacks/${encodeURIComponent(delivery.id)}/redeliver`), (sent) => `Sent again as ${sent.id}: ${sent.state.replace("_", " ")}.`);
    },
  });
  const node = el("li", {}, el("div", { class: "callback-head" }, el("span", { class: "mono", text: delivery.id }), parts.state, parts.again), parts.attempts);
  node.parts = parts;
  return node;
}

function updateDelivery(node, delivery) {
  const { parts } = node;
  const waiting = delivery.state === "waiting";
  const due = waiting ? `, next attempt ${exactTimeOf(Date.parse(delivery.due))}` : "";
  setText(parts.state, `${delivery.event}: ${delivery.state.replace("_", " ")}${due}`);
  setUsable(parts.again, !waiting);
  reconcile(parts.attempts, delivery.attempts, (each) => each.number, () => el("li"), (each, attempt) => {
    each.className = attempt.outcome === "acknowledged" ? "good" : "bad";
    const status = attempt.status === null ? "" : ` ${attempt.status}`;
    setText(each, `${exactTimeOf(Date.parse(attempt.at))}  ${attempt.outcome}${status}${attempt.detail ? `: ${attempt.detail}` : ""}`);
  });
}
