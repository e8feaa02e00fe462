// The data of the page: the newest of each kind, up to a limit.

export const RECORDS_KEPT = 1000;
const MARKS_KEPT = 200;
const KINDS = ["tasks", "accounts", "deliveries", "faults"];

export class Store {
  constructor() {
    this.forget("all");
  }

  /** Drop everything, or only the records. */
  forget(what) {
    this.records = [];
    this.skipped = 0;
    this.marks = new Map();
    if (what !== "all") return;
    this.now = null;
    this.speed = 0;
    this.providers = new Map();
    for (const kind of KINDS) this[kind] = new Map();
  }

  /** Replace everything by a snapshot. */
  replace(data) {
    this.forget("all");
    for (const each of data.providers) this.providers.set(each.name, each);
    this.change(data);
  }

  /** Apply an update. */
  change(data) {
    this.now = data.now_ms;
    this.speed = data.speed;
    this.skipped += data.skipped ?? 0;
    for (const kind of KINDS) {
      const known = this[kind];
      for (const patch of data[kind] ?? []) known.set(patch.id, { ...known.get(patch.id), ...patch });
      for (const id of data.gone?.[kind] ?? []) known.delete(id);
    }
    for (const id of data.gone?.tasks ?? []) this.marks.delete(id);
    for (const record of data.records ?? []) this.#mark(record);
    if (data.records?.length) {
      this.records = [...data.records.toReversed(), ...this.records];
      this.records.length = Math.min(this.records.length, RECORDS_KEPT);
    }
  }

  /** The role of the operation of a record. */
  roleOf(record) {
    const operations = this.providers.get(record.provider)?.operations ?? [];
    return operations.find((each) => each.id === record.operation)?.role ?? null;
  }

  /** The deliveries of each task. */
  deliveriesByTask() {
    return Map.groupBy(this.deliveries.values(), (each) => each.task);
  }

  #mark(record) {
    if (!record.task || !this.tasks.has(record.task)) return;
    const faulty = faultsOf(record).length > 0;
    const role = record.kind === "exchange" ? this.roleOf(record) : null;
    const what = role === "query" ? "poll" : role === "result" ? "download" : null;
    if (!what && !faulty) return;
    const marks = this.marks.get(record.task) ?? [];
    marks.push({ at: Date.parse(record.at), what, faulty, bad: (record.response?.status ?? 0) >= 400 });
    this.marks.set(record.task, marks.slice(-MARKS_KEPT));
  }
}

/** The names of the faults applied to a record. */
export function faultsOf(record) {
  return record.faults ?? [];
}
