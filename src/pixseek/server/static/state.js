// What is shown is what the address says; going anywhere is a step of the browser's history.
//
//     ?q=a dog&sort=newest&library=shop&facets=1      a search
//     image/ID?q=...                                  the same with an image open

import { start } from "./texts.js";

/** @typedef {Record<"q"|"sort"|"group_by"|"library"|"facets"|"dates"|"example"|"weight"|"strength"|"image", string>} State "" for the defaults */

/** What another search is made of; facets and the open image are not. */
export const SEARCH = ["q", "sort", "group_by", "library", "dates", "example", "weight", "strength"];
const NAMES = [...SEARCH, "facets"];

/** Where the server's page is, with a slash at the end; modules are two folders below. */
export const base = new URL("../../", import.meta.url);

/** @param {{search: string, pathname: string}} from an address, or a link @returns {State} */
export function read(from = location) {
	const asked = new URLSearchParams(from.search);
	const path = from.pathname.slice(base.pathname.length);
	return { ...Object.fromEntries(NAMES.map((name) => [name, asked.get(name) || ""])), image: path.startsWith("image/") ? decodeURIComponent(path.slice(6)) : "" };
}

/** @param {Partial<State>} state */
export function addressOf(state) {
	const address = new URL(state.image ? `image/${encodeURIComponent(state.image)}` : "", base);
	for (const name of NAMES) if (state[name]) address.searchParams.set(name, state[name]);
	return address.href;
}

/** Keeps the state, and tells about changes by events "change" with `detail.before` and `detail.isBack`. */
export class History extends EventTarget {
	now = read();

	constructor() {
		super();
		history.scrollRestoration = "manual";
		addEventListener("popstate", () => this.#set(read(), true));
	}

	/** @param {Partial<State>} changes; replace: without a step of the history */
	go(changes, { replace = false } = {}) {
		const next = { ...this.now, ...changes };
		const address = addressOf(next);
		if (replace) history.replaceState(history.state, "", address);
		else if (address !== location.href) history.pushState(next.image ? history.state : {}, "", address); // below an image its list stays
		this.#set(next);
	}

	/** Keep something with this step, such as a place. */
	keep(what) {
		history.replaceState({ ...history.state, ...what }, "");
	}

	get kept() {
		return history.state || {};
	}

	#set(next, isBack = false) {
		const before = this.now;
		this.now = next;
		this.dispatchEvent(new CustomEvent("change", { detail: { before, isBack } }));
	}
}

/** Parameters that choose the library. @param {State} state */
export const ofLibrary = ({ library }) => (library ? { library } : {});

export const mayWrite = Boolean(start.may_write);
