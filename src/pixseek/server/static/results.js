// The list of what a search found: places and strengths of all, records of those that are looked at.

import { Problem, get, send } from "./api.js";
import { find } from "./examples.js";
import { ofLibrary } from "./state.js";
import { monthName, t } from "./texts.js";

/** @typedef {Record<string, any>} Image a record as the server gives it */
/** @typedef {{title: string, count: number, key: string}} Section */

/** Records asked for together. */
const BATCH = 100;
/** Records that are kept. */
const KEPT = 20000;

/** What one search found. */
export class List {
  /** @type {Map<string, number>|null} */
  #places = null;
  /** @type {Map<string, Image|null>} */
  #records = new Map();
  /** @type {Set<number>} */
  #wanted = new Set();
  /** @type {Map<number, Promise<void>>} */
  #loading = new Map();

  /** @param {any} layout the server's answer @param {import("./state.js").State} state */
  constructor(layout, state) {
    /** @type {string[]} */
    this.ids = layout.ids;
    this.length = this.ids.length;
    this.aspects = layout.aspects;
    this.strong = layout.strong;
    this.likely = layout.likely;
    this.total = layout.total;
    this.warnings = layout.warnings;
    this.state = state;
    this.isDated = Boolean(layout.months);
    this.isRanked = Boolean(layout.ranked);
    /** @type {[string|null, number][]} */
    this.months = layout.months || [];
    /** @type {Section[]} */
    this.sections = this.#sections();
  }

  #sections() {
    if (this.isDated) return this.months.map(([key, count]) => ({ title: monthName(key), count, key: key || "" }));
    if (!this.isRanked) return [{ title: "", count: this.length, key: "" }];
    const strong = Math.min(this.strong, this.length);
    const likely = Math.min(this.likely, this.length);
    return [
      { title: "", count: strong, key: "strong" },
      { title: t("others"), count: likely - strong, key: "likely" },
      { title: t("weak"), count: this.length - likely, key: "weak" },
    ].filter((each) => each.count);
  }

  /** @param {number} i */
  id(i) {
    return this.ids[i];
  }

  /** Width by height as shown. @param {number} i */
  aspect(i) {
    return this.aspects[i] || 1;
  }

  /** @param {number} i @returns {"strong"|"likely"|"weak"} */
  strength(i) {
    return i < this.strong || !this.isRanked ? "strong" : i < this.likely ? "likely" : "weak";
  }

  /** The place of an image; -1 if it is not here. @param {string} id */
  indexOf(id) {
    if (!this.#places) this.#places = new Map(this.ids.map((each, i) => [each, i]));
    return this.#places.get(id) ?? -1;
  }

  /** The record if it is here already. @param {number} i @returns {Image|null} */
  known(i) {
    return this.#records.get(this.ids[i]) || null;
  }

  /** Ask for a record, together with others that are asked for now. @param {number} i @returns {Promise<Image>} */
  async record(i) {
    const known = this.known(i);
    if (known) return known;
    if (!this.#loading.has(i)) {
      this.#wanted.add(i);
      if (this.#wanted.size === 1) queueMicrotask(() => this.#load());
      this.#loading.set(i, new Promise((resolve) => this.#waiters.push([i, resolve])));
    }
    await this.#loading.get(i);
    return this.known(i) || { id: this.ids[i], missing: true };
  }

  /** @type {[number, () => void][]} */
  #waiters = [];

  #load() {
    const wanted = [...this.#wanted];
    const waiters = this.#waiters;
    this.#wanted.clear();
    this.#waiters = [];
    for (let at = 0; at < wanted.length; at += BATCH) {
      const some = wanted.slice(at, at + BATCH);
      const done = () => {
        for (const i of some) this.#loading.delete(i);
        for (const [i, resolve] of waiters) if (some.includes(i)) resolve();
      };
      this.#fetch(some.map((i) => this.ids[i])).then(done, done);
    }
  }

  async #fetch(ids) {
    const found = await recordsOf(ids, this.state);
    if (this.#records.size > KEPT) this.#records.clear();
    for (const [i, id] of ids.entries()) if (found[i]) this.#records.set(id, found[i]);
  }

  /** Forget records that changed; they are asked for again. @param {string[]} ids */
  forget(ids) {
    for (const id of ids) this.#records.delete(id);
  }
}

/** @param {string[]} ids @param {import("./state.js").State} state @returns {Promise<(Image|null)[]>} */
async function recordsOf(ids, state) {
  return Promise.all(ids.map((id) => get(`images/${encodeURIComponent(id)}`, ofLibrary(state), { quiet: true }).catch(() => null)));
}

/**
 * Search as the state says. A newer search ends this one.
 * @param {import("./state.js").State} state @returns {Promise<List>}
 */
export async function search(state) {
  const { q, example, dates, strength } = state;
  const sort = state.sort || (q || example ? "" : "newest");
  const plain = { ...(sort && { sort }), ...(strength && { min_strength: strength }), ...(dates && { dates: dates !== "false" }) };
  let found;
  if (example) {
    const picture = await find(example);
    if (!picture) throw new Problem({ status: 410, problem: t("picture_gone"), advice: t("picture_gone_hint") });
    const form = new FormData();
    form.append("image", picture, "example");
    form.append("query", JSON.stringify({ ...plain, ...(q && { query: q }), k: 1000 }));
    if (state.weight) form.append("weight", state.weight);
    found = await send("POST", "search", { params: ofLibrary(state), form, key: "list" });
  } else {
    found = await get("search", { ...ofLibrary(state), ...plain, q: q || "size:>=0", k: 1000 }, { key: "list" });
  }
  const dated = sort === "newest" || sort === "oldest";
  const months = [];
  for (const hit of dated ? found.hits : []) {
    const key = hit.taken_at ? hit.taken_at.slice(0, 7) : null;
    if (months.length && months[months.length - 1][0] === key) months[months.length - 1][1]++;
    else months.push([key, 1]);
  }
  return new List(
    {
      ...found,
      ids: found.hits.map((each) => each.id),
      aspects: found.hits.map((each) => (each.height ? each.width / each.height : null)),
      months: dated ? months : null,
      ranked: !sort,
    },
    state,
  );
}
