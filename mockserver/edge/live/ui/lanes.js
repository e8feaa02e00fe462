// Tasks as lanes on a time axis. A lane opens to commands and details of its task.

import { drawAxis, drawTrack, describe, legend, makeTrack, scaleOf, timeRange, submitted } from "./chart.js";
import { byId, duration, el, number, reconcile, setAttribute, setText, shortId } from "./dom.js";
import { makePanel, updatePanel } from "./task.js";

const MOST = 60;
const opened = new Set();
let width = 0;

/** Attach the filters, the lanes and the resize observer. */
export function wire(_store, drawSoon) {
  byId("legend").append(...legend());
  for (const id of ["tasks-provider", "window"]) byId(id).addEventListener("change", drawSoon);
  new ResizeObserver(([box]) => {
    width = box.contentRect.width;
    drawSoon();
  }).observe(byId("axis"));
  byId("lanes").addEventListener("click", (event) => {
    const head = event.target.closest(".lane-head");
    if (!head) return;
    const { id } = head.closest("li").dataset;
    if (!opened.delete(id)) opened.add(id);
    drawSoon();
  });
}

/** Draw the lanes, newest task first. */
export function draw(store) {
  const provider = byId("tasks-provider").value;
  const tasks = [...store.tasks.values()]
    .filter((each) => !provider || each.provider === provider)
    .map((task, order) => ({ task, order }))
    .sort((a, b) => submitted(b.task) - submitted(a.task) || b.order - a.order)
    .slice(0, MOST)
    .map(({ task }) => task);
  const running = tasks.filter((each) => !each.ended).length;
  const newest = tasks.length < MOST ? number(tasks.length) : `the newest ${number(MOST)}`;
  setText(byId("tasks-count"), tasks.length ? `${number(running)} of ${newest} running` : "");
  byId("tasks-empty").hidden = tasks.length > 0;
  byId("axis").hidden = tasks.length === 0;
  for (const id of opened) if (!store.tasks.has(id)) opened.delete(id);
  if (store.now === null || (tasks.length && !width)) {
    reconcile(byId("lanes"), [], (each) => each.id, makeLane);
    return;
  }
  const deliveries = store.deliveriesByTask();
  const facts = (task) => [deliveries.get(task.id) ?? [], store.marks.get(task.id) ?? []];
  const scale = scaleOf(timeRange(tasks, facts, store.now, byId("window").value), width);
  const grid = tasks.length ? drawAxis(byId("axis"), scale, store.now) : "";
  reconcile(byId("lanes"), tasks, (each) => each.id, makeLane, (node, task) =>
    updateLane(node, task, store, ...facts(task), scale, grid),
  );
}

function makeLane(task) {
  const parts = {
    status: el("span", { class: "status" }),
    progress: el("span", { class: "progress" }),
    prompt: el("span", { class: "prompt" }),
    who: el("span", { class: "who" }),
    track: makeTrack(),
    panel: null,
  };
  parts.head = el(
    "button",
    { type: "button", class: "lane-head", "aria-expanded": "false" },
    el("span", { class: "lane-line" }, parts.status, parts.progress, parts.who),
    parts.prompt,
  );
  const node = el("li", { class: "lane", "data-id": task.id }, parts.head, parts.track);
  node.parts = parts;
  return node;
}

function updateLane(node, task, store, deliveries, marks, scale, grid) {
  const { parts } = node;
  const last = task.course.at(-1);
  const label = describe(task, deliveries, marks, store.now);
  const spent = last.from_ms - submitted(task);
  setAttribute(node, "data-kind", last.kind);
  setText(parts.status, last.kind === "held" ? `${task.status}, held` : task.status);
  setText(parts.progress, task.ended ? duration(spent) : task.progress ? `${task.progress}%` : "");
  setText(parts.who, `${task.provider} ${shortId(task.id)}`);
  setText(parts.prompt, task.prompt || task.model);
  setAttribute(parts.track, "aria-label", label);
  drawTrack(parts.track, scale, store.now, grid, task, deliveries, marks);
  const open = opened.has(task.id);
  setAttribute(parts.head, "aria-expanded", String(open));
  if (open && !parts.panel) node.append((parts.panel = makePanel(task, store)));
  if (!open && parts.panel) {
    parts.panel.remove();
    parts.panel = null;
  }
  if (open) updatePanel(parts.panel, task, store, deliveries);
}
