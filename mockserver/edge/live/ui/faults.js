// Faults in force, and a form to add one, built from the catalogue.

import { ask } from "./api.js";
import { byId, el, number, reconcile, setText } from "./dom.js";
import { perform } from "./say.js";

const WHERE = [
  ["provider", "provider name"],
  ["operation", "operationId, or a role such as query"],
  ["key", "API key, or account id"],
  ["task", "task id"],
  ["model", "model name"],
  ["prompt", "regular expression, searched for in the prompt"],
  ["text", "the exact prompt"],
  ["phase", "state of the task"],
];
const WHEN = [
  ["after", "skip the first", "matches"],
  ["every", "every nth", "match"],
  ["probability", "probability", "0 to 1"],
  ["from_s", "start after", "s from now"],
  ["until_s", "end after", "s from now"],
  ["for_s", "duration after the first hit", "s"],
  ["times", "maximum", "hits"],
];
let catalog = null;
let form = null;

/** Load the catalogue; without one the panel is hidden. */
export async function open() {
  try {
    catalog = (await ask("GET", "faults/catalog")).faults;
  } catch {
    catalog = null;
  }
  byId("faults-panel").hidden = !catalog?.length;
  if (catalog?.length) buildForm();
}

/** Attach the button that removes all faults. */
export function wire() {
  byId("faults-clear").addEventListener("click", () => perform(() => ask("DELETE", "faults"), "All faults removed."));
}

/** Show the faults in force. */
export function draw(store) {
  const faults = [...store.faults.values()];
  setText(byId("faults-count"), faults.length ? `${number(faults.length)} in force` : "none");
  byId("faults-clear").hidden = faults.length < 2;
  reconcile(byId("faults"), faults, (each) => each.id, makeFault, updateFault);
  if (form) listProviders(store);
}

function makeFault(fault) {
  const parts = { name: el("strong"), how: el("p", { class: "dim" }), hits: el("span", { class: "tag" }) };
  const remove = el("button", {
    type: "button",
    class: "quiet",
    text: "Remove",
    "aria-label": `Remove ${fault.fault} ${fault.id}`,
    click: () => perform(() => ask("DELETE", `faults/${encodeURIComponent(fault.id)}`), `Removed ${fault.fault}.`),
  });
  const node = el("li", {}, el("div", { class: "fault-head" }, parts.name, parts.hits, remove), parts.how);
  node.parts = parts;
  return node;
}

function updateFault(node, fault) {
  const { parts } = node;
  setText(parts.name, fault.fault);
  setText(parts.hits, `${number(fault.hits)} ${fault.hits === 1 ? "hit" : "hits"}${fault.spent ? ", spent" : ""}`);
  const presets = catalog?.find((each) => each.name === fault.fault)?.parameters ?? [];
  const isPreset = ([name, value]) => presets.some((each) => each.name === name && each.default === value);
  const list = (entries) => entries.map(([name, value]) => `${name.replaceAll("_", " ")} ${value}`).join(", ");
  const parts_ = [
    list(Object.entries(fault.with).filter((each) => !isPreset(each))),
    Object.keys(fault.where).length ? `where ${list(Object.entries(fault.where))}` : "everywhere",
    list(Object.entries(fault.when)),
  ];
  setText(parts.how, parts_.filter(Boolean).join("; "));
}

function buildForm() {
  const families = Map.groupBy(catalog, (each) => each.family);
  form = {
    kind: el("select", { id: "fault-kind", input: showParameters }, ...[...families].map(([family, faults]) => el("optgroup", { label: family }, ...faults.map((each) => el("option", { value: each.name, text: each.name }))))),
    about: el("p", { class: "dim", id: "fault-about" }),
    parameters: el("div", { class: "grid" }),
    problem: el("p", { class: "problem", role: "alert" }),
    providers: el("datalist", { id: "fault-providers" }),
    fields: {},
  };
  form.kind.setAttribute("aria-describedby", "fault-about");
  byId("fault-form").replaceChildren(
    el("h3", { text: "Add a fault" }),
    el("label", { class: "wide" }, "Fault ", form.kind),
    form.about,
    form.parameters,
    group("Where", WHERE.map(([name, hint]) => field("where", { name, type: "string", summary: hint }))),
    group("When", WHEN.map(([name, before, unit]) => field("when", { name, type: "number", summary: before, unit }))),
    form.providers,
    form.problem,
    el("button", { type: "submit", class: "main", text: "Add fault" }),
  );
  byId("fault-form").onsubmit = (event) => {
    event.preventDefault();
    add();
  };
  form.fields.where.provider.setAttribute("list", "fault-providers");
  showParameters();
}

function group(title, fields) {
  return el("details", {}, el("summary", { text: title }), el("div", { class: "grid" }, ...fields));
}

function field(part, { name, type, unit, summary, choices, default: preset }) {
  const label = part === "when" ? summary : name.replaceAll("_", " ");
  let input;
  if (choices?.length) input = el("select", {}, ...choices.map((each) => el("option", { value: JSON.stringify(each), text: String(each), selected: each === preset })));
  else if (type === "boolean") input = el("input", { type: "checkbox", checked: preset === true });
  else if (type === "string") input = el("input", { type: "text", autocomplete: "off", spellcheck: "false", value: preset ?? "" });
  else input = el("input", { type: "number", step: type === "integer" ? 1 : "any", value: preset ?? "", inputmode: "decimal" });
  input.dataset.type = choices?.length ? "choice" : type;
  (form.fields[part] ??= {})[name] = input;
  const hint = part === "where" ? summary : part === "with" ? [summary, unit].filter(Boolean).join("; ") : unit;
  return el("label", {}, el("span", { text: label }), input, el("span", { class: "hint", text: hint ?? "" }));
}

function showParameters() {
  const chosen = catalog.find((each) => each.name === form.kind.value);
  setText(form.about, [chosen.breaks, chosen.notice].filter(Boolean).join(" "));
  form.fields.with = {};
  form.parameters.replaceChildren(...chosen.parameters.map((each) => field("with", each)));
}

function listProviders(store) {
  const names = [...store.providers.keys()];
  if (form.providers.children.length !== names.length) form.providers.replaceChildren(...names.map((value) => el("option", { value })));
}

function valueOf(input) {
  const { type } = input.dataset;
  if (type === "boolean") return input.checked;
  if (type === "choice") return JSON.parse(input.value);
  if (input.value === "") return undefined;
  return type === "string" ? input.value : Number(input.value);
}

function filledIn(part) {
  const values = Object.entries(form.fields[part] ?? {}).map(([name, input]) => [name, valueOf(input)]);
  return Object.fromEntries(values.filter(([, value]) => value !== undefined));
}

async function add() {
  setText(form.problem, "");
  const body = { fault: form.kind.value, with: filledIn("with"), where: filledIn("where"), when: filledIn("when") };
  try {
    const added = await ask("POST", "faults", body);
    await perform(async () => added, `Added ${added.fault}.`);
  } catch (error) {
    setText(form.problem, error.message);
  }
}
