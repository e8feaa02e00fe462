// Creates elements, and formats times and numbers. Data becomes text nodes, never markup.

const SVG = "http://www.w3.org/2000/svg";
const numbers = new Intl.NumberFormat("en", { maximumFractionDigits: 2 });

export const byId = (id) => document.getElementById(id);

/** Create an element; `text` is its text, functions are listeners, everything else is an attribute. */
export function el(name, properties = {}, ...children) {
  return filled(document.createElement(name), properties, children);
}

/** Create an SVG element in the same way. */
export function svg(name, properties = {}, ...children) {
  return filled(document.createElementNS(SVG, name), properties, children);
}

function filled(node, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (name === "text") node.textContent = value;
    else if (typeof value === "function") node.addEventListener(name, value);
    else setAttribute(node, name, value);
  }
  node.append(...children);
  return node;
}

/** Set an attribute if it differs; null and false remove it. */
export function setAttribute(node, name, value) {
  if (value === null || value === undefined || value === false) node.removeAttribute(name);
  else if (node.getAttribute(name) !== (value === true ? "" : String(value))) node.setAttribute(name, value === true ? "" : value);
}

/** Set a text if it differs. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Make a list's children those of `items`, keeping the nodes of those that stay, and the focus where it was. */
export function reconcile(list, items, keyOf, make, update) {
  const nodes = (list.nodesByKey ??= new Map());
  const keys = new Set(items.map(keyOf));
  for (const [key, node] of nodes) {
    if (keys.has(key)) continue;
    if (node.contains(document.activeElement)) list.closest("section")?.querySelector("h2")?.focus();
    node.remove();
    nodes.delete(key);
  }
  items.forEach((item, index) => {
    const key = keyOf(item);
    let node = nodes.get(key);
    if (!node) nodes.set(key, (node = make(item)));
    if (list.children[index] !== node) list.insertBefore(node, list.children[index] ?? null);
    update?.(node, item);
  });
}

/** Make the options of a select those given as [value, text], keeping what is chosen. */
export function setOptions(select, options) {
  const wanted = JSON.stringify(options);
  if (select.dataset.options === wanted) return;
  const chosen = select.value;
  select.dataset.options = wanted;
  select.replaceChildren(...options.map(([value, text]) => el("option", { value, text })));
  if (options.some(([value]) => value === chosen)) select.value = chosen;
}

/** Disable a button without losing the focus. */
export function setUsable(button, usable) {
  setAttribute(button, "aria-disabled", usable ? null : "true");
}

export const isUsable = (button) => button.getAttribute("aria-disabled") !== "true";

export const number = (value) => numbers.format(value);

const iso = (ms) => {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? "" : date.toISOString();
};

export const dateOf = (ms) => iso(ms).slice(0, -14);
export const timeOf = (ms) => iso(ms).slice(-13, -5);
export const exactTimeOf = (ms) => iso(ms).slice(-13, -1);

/** Format a duration in its two largest units. */
export function duration(ms) {
  const seconds = ms / 1000;
  if (seconds < 60) return `${numbers.format(Math.round(seconds * 10) / 10)} s`;
  const whole = Math.round(seconds);
  const [size, unit, smaller, smallerUnit] =
    whole < 3600 ? [60, "min", 1, "s"] : whole < 86400 ? [3600, "h", 60, "min"] : [86400, "d", 3600, "h"];
  const rest = Math.floor((whole % size) / smaller);
  return `${number(Math.floor(whole / size))} ${unit}${rest ? ` ${rest} ${smallerUnit}` : ""}`;
}

/** Shorten an id to its end, where ids differ. */
export const shortId = (id) => (id.length > 14 ? `…${id.slice(-10)}` : id);

/** Indent a text that is JSON. */
export function prettyJson(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
