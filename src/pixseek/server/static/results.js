// The list of what a search found: places and strengths of all, records of those that are looked at.

import { Problem, get, send } from "./api.js";
import { find } from "./examples.js";
import { addressOf, ofLibrary } from "./state.js";
import { monthName, t } from "./texts.js";

/** Records asked for together, and kept. */
const BATCH = 100;
const KEPT = 20000;

/** What one search found; besides, all that the layout of the server says. */
export class List {
	#places;
	#records = new Map();
	#asked = new Map();
	#wanted = [];

	constructor(layout, state) {
		Object.assign(this, layout, { state, length: layout.ids.length, isDated: Boolean(layout.months) });
		/** @type {{title: string, key: string, href: string, count: number}[]} years of which not all is listed, of a long list */
		this.beyond = (layout.years || []).map(([year, count]) => this.#year(year, count)).filter(({ count }) => count > 0);
		const titles = { strong: "", likely: t("others"), weak: t("weak") };
		const runs = layout.months || (state.sort ? [["strong", this.length]] : layout.strengths);
		/** @type {{title: string, count: number, key: string}[]} */
		this.sections = runs.map(([key, count]) => ({ title: this.isDated ? monthName(key) : titles[key], count, key: key || "" }));
	}

	/** What of a year is not listed, and where it is. */
	#year(key, count) {
		const { q, sort } = this.state;
		const isOld = sort === "oldest";
		const here = this.months.filter(([month]) => month?.startsWith(key) ?? key === "none");
		for (const [, n] of here) count -= n;
		const last = here.at(-1)?.[0];
		const [from, to] = isOld ? [last, `${key}-12`] : [`${key}-01`, last];
		const filter = last ? `date:${from}..${to}` : `year:${key}`;
		const isUndated = key === "none";
		const title = `${isUndated ? t("no_date") : key}: ${t("images", { n: count })}`;
		return { title, key: isUndated ? "" : key, count, href: addressOf({ ...this.state, sort: isOld ? sort : "", q: `${q} ${filter}`.trim() }) };
	}

	id(i) {
		return this.ids[i];
	}

	/** Width by height as shown. */
	aspect(i) {
		return this.aspects[i] || 1;
	}

	/** @returns {"strong"|"likely"|"weak"} */
	strength(i) {
		let end = 0;
		return this.strengths.find(([, count]) => i < (end += count))?.[0] || "weak";
	}

	/** The place of an image; -1 if it is not here. */
	indexOf(id) {
		this.#places ||= new Map(this.ids.map((each, i) => [each, i]));
		return this.#places.get(id) ?? -1;
	}

	/** The record if it is here already. */
	known(i) {
		return this.#records.get(this.ids[i]) || null;
	}

	/** The record, asked for together with others that are wanted now. @returns {Promise<Record<string, any>>} */
	async record(i) {
		const id = this.ids[i];
		if (!this.#records.has(id)) {
			if (!this.#asked.has(id)) {
				if (!this.#wanted.length) queueMicrotask(() => this.#ask());
				this.#wanted.push(id);
				this.#asked.set(id, Promise.withResolvers());
			}
			await this.#asked.get(id).promise;
		}
		return this.#records.get(id) || { id, missing: true };
	}

	async #ask() {
		while (this.#wanted.length) {
			const ids = this.#wanted.splice(0, BATCH);
			get("images", { ids: ids.join(","), ...ofLibrary(this.state) }, { quiet: true })
				.catch(() => ({ images: [] }))
				.then(({ images }) => {
					if (this.#records.size > KEPT) this.#records.clear();
					ids.forEach((id, n) => {
						if (images[n]) this.#records.set(id, images[n]);
						this.#asked.get(id).resolve();
						this.#asked.delete(id);
					});
				});
		}
	}

	/** Forget records that changed; they are asked for again. */
	forget(ids) {
		for (const id of ids) this.#records.delete(id);
	}
}

/** Search as the state says. A newer search ends this one. @returns {Promise<List>} */
export async function search(state) {
	const { sort, strength, group_by } = state;
	return new List(await ask("layout", state, { ...(sort && { sort }), ...(group_by && { group_by }), ...(strength && { min_strength: strength }) }, { key: "list" }), state);
}

/** Ask something about a search: with a picture it is a form. @param {string} path below api/ */
export async function ask(path, state, plain, how) {
	const { q, example, dates, weight } = state;
	const params = ofLibrary(state);
	if (!example) return get(path, { ...params, ...plain, q, dates }, how);
	const picture = find(example);
	if (!picture) throw new Problem({ status: 410, problem: t("picture_gone"), advice: t("picture_gone_hint") });
	const form = new FormData();
	form.append("image", picture, "example");
	form.append("query", JSON.stringify({ ...plain, ...(q && { query: q }), ...(dates && { dates: false }) }));
	if (weight) form.append("weight", weight);
	return send("POST", path, { params, form, ...how });
}
