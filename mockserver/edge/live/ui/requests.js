// Requests and callbacks, newest first. An entry opens to its headers and bodies.

import { byId, el, exactTimeOf, number, prettyJson, reconcile, setAttribute, setText } from "./dom.js";
import { faultsOf } from "./store.js";

const MOST = 200;
const BASE64_SHOWN = 400;
const texts = new WeakMap();
let frozen = null;
let redraw = () => {};

/** Attach the filters. */
export function wire(store, drawSoon) {
  redraw = drawSoon;
  byId("filters").addEventListener("input", drawSoon);
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("freeze").addEventListener("click", () => {
    frozen = frozen ? null : store.records;
    setAttribute(byId("freeze"), "aria-pressed", String(frozen !== null));
    drawSoon();
  });
}

/** Show only records that contain a text, such as a task id. */
export function showOnly(text) {
  for (const id of ["requests-provider", "status"]) byId(id).value = "";
  byId("text").value = text;
  byId("requests-title").focus();
  byId("requests-title").scrollIntoView({ block: "nearest" });
  redraw();
}

const TESTS = {
  none: (record) => record.kind === "exchange" && record.response === null,
  callback: (record) => record.kind === "delivery",
  undelivered: (record) => record.kind === "delivery" && record.outcome !== "acknowledged",
  fault: (record) => faultsOf(record).length > 0,
};

function filter() {
  const provider = byId("requests-provider").value;
  const status = byId("status").value;
  const text = byId("text").value.trim().toLowerCase();
  const passes = TESTS[status] ?? ((record) => record.kind === "exchange" && String(record.response?.status ?? "").startsWith(status));
  return (record) => (!provider || record.provider === provider) && (!status || passes(record)) && (!text || textOf(record).includes(text));
}

function textOf(record) {
  if (!texts.has(record)) texts.set(record, JSON.stringify(record).toLowerCase());
  return texts.get(record);
}

/** Draw the newest records that match the filter. */
export function draw(store) {
  if (frozen && !store.records.length) frozen = store.records;
  const shown = (frozen ?? store.records).filter(filter()).slice(0, MOST);
  const newest = store.records[0]?.seq ?? 0;
  const newer = frozen ? newest - (frozen[0]?.seq ?? 0) : 0;
  const skipped = store.skipped ? `, ${number(store.skipped)} skipped` : "";
  setText(byId("requests-count"), newest ? `${number(shown.length)} shown${newer ? `, ${number(newer)} newer` : ""}${skipped}` : "");
  setAttribute(byId("requests-count"), "title", store.skipped ? "Too many records to show; the journal has all of them." : null);
  setText(byId("requests-empty"), store.records.length ? "No matching requests." : "No requests yet.");
  byId("requests-empty").hidden = shown.length > 0;
  reconcile(byId("records"), shown, (each) => each.seq, makeRow);
}

function makeRow(record) {
  const summary = record.kind === "exchange" ? exchangeSummary(record) : deliverySummary(record);
  const details = el("details", { class: "record", "data-kind": record.kind }, summary);
  const open = () => {
    details.append(detailOf(record));
    details.removeEventListener("toggle", open);
  };
  details.addEventListener("toggle", open);
  return el("li", {}, details);
}

function row(record, what, where, notes, status, level) {
  return el(
    "summary",
    {},
    el("time", { class: "at", datetime: record.at, text: exactTimeOf(Date.parse(record.at)) }),
    el("span", { class: `code ${level}`, text: status }),
    el("span", { class: "method", text: what }),
    el("span", { class: "where", text: where }),
    el("span", { class: "notes" }, ...notes),
  );
}

const tag = (text, kind = "") => el("span", { class: `tag ${kind}`, text });
const faultTags = (record) => faultsOf(record).map((name) => tag(name, "fault"));

function exchangeSummary(record) {
  const { request, response } = record;
  const status = response?.status ?? 0;
  const level = !status || status >= 500 ? "worse" : status >= 400 ? "bad" : "good";
  const notes = [...(record.error ? [tag(record.error, "bad")] : []), ...faultTags(record), tag(record.provider ?? "no provider")];
  return row(record, request.method, request.path + (request.query ? `?${request.query}` : ""), notes, status ? String(status) : "none", level);
}

function deliverySummary(record) {
  const acknowledged = record.outcome === "acknowledged";
  const notes = [tag(`${record.event}, attempt ${record.attempt}`), ...faultTags(record), tag(record.provider)];
  const status = record.response ? String(record.response.status) : record.outcome;
  return row(record, "callback", record.request.url, notes, status, acknowledged ? "good" : "bad");
}

function detailOf(record) {
  const facts = ["operation", "task", "account", "gate", "error", "delivery", "event", "outcome", "detail", "next_attempt_at", "wall"]
    .filter((name) => record[name])
    .map((name) => el("div", {}, el("dt", { text: name.replaceAll("_", " ") }), el("dd", { text: String(record[name]) })));
  return el(
    "div",
    { class: "detail" },
    el("dl", { class: "facts" }, ...facts),
    el("div", { class: "messages" }, message("Request", record.request), message("Response", record.response)),
  );
}

function message(title, sent) {
  const node = el("section", { class: "message" }, el("h3", { text: title }));
  if (!sent) {
    node.append(el("p", { class: "dim", text: "None" }));
    return node;
  }
  const pairs = sent.headers.map(([name, value]) => el("div", {}, el("dt", { text: name }), el("dd", { text: value })));
  node.append(el("dl", { class: "headers" }, ...pairs), ...bodyOf(title, sent));
  return node;
}

function bodyOf(title, sent) {
  const size = `${number(sent.body_bytes)} ${sent.body_bytes === 1 ? "byte" : "bytes"}`;
  if (!sent.body_bytes) return [el("p", { class: "dim", text: "No body" })];
  const kept = sent.body ?? sent.body_base64?.slice(0, BASE64_SHOWN);
  const how = sent.body_cut ? ", cut" : sent.body === null && kept ? ", base64" : kept ? "" : ", not kept";
  const note = el("p", { class: "dim", text: size + how });
  if (!kept) return [note];
  return [note, el("pre", { tabindex: "0", "aria-label": `${title} body`, text: sent.body === null ? kept : prettyJson(sent.body) })];
}
