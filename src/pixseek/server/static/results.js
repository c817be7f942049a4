// The list of what a search found: places and strengths of all, records of those that are looked at.

import { Problem, get, send } from "./api.js";
import { find } from "./examples.js";
import { ofLibrary } from "./state.js";
import { monthName, t } from "./texts.js";

/** @typedef {Record<string, any>} Image a record as the server gives it */

/** Records asked for together, and kept. */
const BATCH = 100;
const KEPT = 20000;

/** What one search found. */
export class List {
  #places;
  #records = new Map();
  /** Places that are waited for, each with its promise and what keeps it. */
  #waiting = new Map();

  /** @param {any} layout the server's answer @param {import("./state.js").State} state */
  constructor(layout, state) {
    Object.assign(this, layout);
    /** @type {string[]} */
    this.ids = layout.ids;
    this.length = this.ids.length;
    this.state = state;
    this.isDated = Boolean(layout.months);
    let end = 0;
    this.runs = layout.strengths.map(([strength, count]) => ({ strength, end: (end += count) }));
    const titles = { strong: "", likely: t("others"), weak: t("weak") };
    /** @type {{title: string, count: number, key: string}[]} */
    this.sections = this.isDated
      ? layout.months.map(([key, count]) => ({ title: monthName(key), count, key: key || "" }))
      : state.sort
        ? [{ title: "", count: this.length, key: "" }]
        : layout.strengths.map(([key, count]) => ({ title: titles[key], count, key }));
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
    return this.runs.find((each) => i < each.end)?.strength || "weak";
  }

  /** The place of an image; -1 if it is not here. @param {string} id */
  indexOf(id) {
    this.#places ||= new Map(this.ids.map((each, i) => [each, i]));
    return this.#places.get(id) ?? -1;
  }

  /** The record if it is here already. @param {number} i @returns {Image|null} */
  known(i) {
    return this.#records.get(this.ids[i]) || null;
  }

  /** Ask for a record, together with others that are asked for now. @param {number} i @returns {Promise<Image>} */
  record(i) {
    const known = this.known(i);
    if (known) return Promise.resolve(known);
    const id = this.ids[i];
    if (!this.#waiting.has(id)) {
      const one = {};
      one.promise = new Promise((resolve) => (one.resolve = resolve));
      if (![...this.#waiting.values()].some((each) => !each.isSent)) queueMicrotask(() => this.#load());
      this.#waiting.set(id, one);
    }
    return this.#waiting.get(id).promise;
  }

  #load() {
    const wanted = [...this.#waiting].filter(([, one]) => !one.isSent);
    for (let at = 0; at < wanted.length; at += BATCH) this.#fetch(wanted.slice(at, at + BATCH));
  }

  async #fetch(some) {
    for (const [, one] of some) one.isSent = true;
    const ids = some.map(([id]) => id);
    const found = await recordsOf(ids, this.state).catch(() => []);
    if (this.#records.size > KEPT) this.#records.clear();
    some.forEach(([id, one], i) => {
      this.#waiting.delete(id);
      if (found[i]) this.#records.set(id, found[i]);
      one.resolve(found[i] || { id, missing: true });
    });
  }

  /** Forget records that changed; they are asked for again. @param {string[]} ids */
  forget(ids) {
    for (const id of ids) this.#records.delete(id);
  }
}

/** @param {string[]} ids @param {import("./state.js").State} state @returns {Promise<(Image|null)[]>} */
async function recordsOf(ids, state) {
  try {
    return (await get("images", { ids: ids.join(","), ...ofLibrary(state) }, { quiet: true })).images;
  } catch (error) {
    if (error.status !== 405 && error.status !== 404) throw error;
    return Promise.all(ids.map((id) => get(`images/${id}`, ofLibrary(state), { quiet: true }).catch(() => null)));
  }
}

/**
 * Search as the state says. A newer search ends this one.
 * @param {import("./state.js").State} state @returns {Promise<List>}
 */
export async function search(state) {
  const { q, example, dates, strength, sort } = state;
  const plain = { ...(sort && { sort }), ...(strength && { min_strength: strength }), ...(dates && { dates: false }) };
  const params = { ...ofLibrary(state), ...plain, q };
  let form;
  if (example) {
    const picture = await find(example);
    if (!picture) throw new Problem({ status: 410, problem: t("picture_gone"), advice: t("picture_gone_hint") });
    form = new FormData();
    form.append("image", picture, "example");
    form.append("query", JSON.stringify({ ...plain, ...(q && { query: q }) }));
    if (state.weight) form.append("weight", state.weight);
  }
  const ask = (path, more) => (form ? send("POST", path, { params: ofLibrary(state), form, key: "list" }) : get(path, { ...params, ...more }, { key: "list" }));
  return new List(
    await ask("layout").catch((error) => {
      if (error.status !== 404) throw error;
      return ask("search", { q: q || "size:>=0", k: 1000 }).then((found) => old(found, sort));
    }),
    state,
  );
}

function old(found, sort) {
  const runs = (all) => all.reduce((runs, each) => (runs.length && runs[runs.length - 1][0] === each ? runs[runs.length - 1][1]++ : runs.push([each, 1]), runs), []);
  return {
    ...found,
    ids: found.hits.map((each) => each.id),
    aspects: found.hits.map((each) => (each.height ? each.width / each.height : null)),
    strengths: runs(found.hits.map((each) => each.strength)),
    months: sort === "newest" || sort === "oldest" ? runs(found.hits.map((each) => (each.taken_at ? each.taken_at.slice(0, 7) : null))) : null,
  };
}
