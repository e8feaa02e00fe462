// Accounts: credits, and what is left of the limits.

import { byId, el, number, reconcile, setAttribute, setText, shortId } from "./dom.js";

const LIMITS = {
  requests_per_minute: "requests per minute",
  requests_per_hour: "requests per hour",
  tasks_per_day: "tasks per day",
  concurrent_tasks: "concurrent tasks",
};
const CREDITS = ["available", "reserved", "spent"];

/** Show the accounts. */
export function draw(store) {
  const accounts = [...store.accounts.values()].sort((a, b) => a.provider.localeCompare(b.provider));
  setText(byId("accounts-count"), accounts.length ? number(accounts.length) : "");
  byId("accounts-empty").hidden = accounts.length > 0;
  reconcile(byId("accounts"), accounts, (each) => each.id, make, update);
}

function make() {
  const parts = {
    provider: el("h3"),
    id: el("span", { class: "mono dim" }),
    plan: el("span", { class: "tag" }),
    revoked: el("span", { class: "tag bad", text: "revoked" }),
    limits: el("ul", { class: "limits" }),
    credits: {},
    bar: {},
  };
  const bar = el("div", { class: "bar", "aria-hidden": "true" });
  const list = el("dl", { class: "credits" });
  for (const name of CREDITS) {
    bar.append((parts.bar[name] = el("span", { class: `bar-${name}` })));
    parts.credits[name] = el("dd");
    list.append(el("div", {}, el("dt", { text: name, class: `key-${name}` }), parts.credits[name]));
  }
  const node = el("li", { class: "account" }, el("div", { class: "account-head" }, parts.provider, parts.plan, parts.revoked, parts.id), bar, list, parts.limits);
  node.parts = parts;
  return node;
}

function update(node, account) {
  const { parts } = node;
  setText(parts.provider, account.provider);
  setText(parts.id, shortId(account.id));
  setAttribute(parts.id, "title", account.id);
  setText(parts.plan, account.plan);
  parts.revoked.hidden = !account.revoked;
  for (const name of CREDITS) {
    const amount = account[`${name}_credits`];
    setText(parts.credits[name], number(amount));
    parts.bar[name].style.width = `${account.granted_credits ? (100 * amount) / account.granted_credits : 0}%`;
  }
  const limits = Object.keys(account.limits);
  reconcile(parts.limits, limits, (name) => name, makeLimit, (each, name) => updateLimit(each, account, name));
}

function makeLimit() {
  const fill = el("span");
  const label = el("span", { class: "limit-words" });
  const node = el("li", {}, label, el("span", { class: "meter", "aria-hidden": "true" }, fill));
  node.parts = { fill, label };
  return node;
}

function updateLimit(node, account, name) {
  const most = account.limits[name];
  const left = account.limits_left[name];
  setText(node.parts.label, `${number(left)} of ${number(most)} ${LIMITS[name] ?? name} left`);
  node.parts.fill.style.width = `${most ? (100 * left) / most : 0}%`;
  setAttribute(node, "data-level", left === 0 ? "out" : left <= most * 0.2 ? "low" : null);
}
