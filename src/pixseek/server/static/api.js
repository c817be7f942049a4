// All requests. A newer request with the same key ends the older one.

import { base } from "./state.js";
import { t, told } from "./texts.js";
import { answers } from "./toast.js";

/** What the server refused, in three parts, or that it can't be reached (status 0). */
export class Problem extends Error {
	constructor({ status = 0, problem = "", subject = "", advice = "" }) {
		super(status);
		Object.assign(this, { status, problem, subject, advice });
	}

	/** What to show, as elements and texts. */
	get head() {
		return [this.problem || t("server_away"), this.subject && ": ", this.subject];
	}
	get all() {
		return [...this.head, this.advice && ". ", this.advice];
	}
}

const running = new Map();
const never = new Promise(() => {});
let waiting = 0;

/** @param {string} path below api/ */
export function address(path, params = {}) {
	const url = new URL(`api/${path}`, base);
	for (const [name, value] of Object.entries(params)) if (value !== "" && value != null) url.searchParams.set(name, value);
	return url.href;
}

/**
 * The JSON of an answer. With a `key` a newer request ends this one, whose promise then never settles.
 * While one that is not `quiet` waits, a line says so.
 * @param {string} path below api/
 */
export async function send(method, path, { params, json, form, key, quiet } = {}) {
	const stop = new AbortController();
	if (key) {
		running.get(key)?.abort();
		running.set(key, stop);
	}
	const wait = (step) => quiet || document.body.classList.toggle("waiting", (waiting += step) > 0);
	wait(1);
	try {
		const answer = await fetch(address(path, params), { method, signal: stop.signal, body: json ? JSON.stringify(json) : form, headers: json ? { "Content-Type": "application/json" } : {} });
		if (answer.status === 401) {
			const here = `/${location.href.slice(base.href.length)}`;
			location.assign(new URL(`login?to=${encodeURIComponent(here)}`, base));
			return never;
		}
		const plain = await answer.json().catch(() => ({}));
		stop.signal.throwIfAborted();
		answers();
		if (!answer.ok) {
			const { problem = plain.title || answer.statusText, subject = "", advice = "" } = plain;
			throw new Problem({ status: answer.status, problem: told(problem), subject: told(subject, false), advice: told(advice) });
		}
		return plain;
	} catch (error) {
		if (stop.signal.aborted) return never;
		throw error instanceof Problem ? error : new Problem({});
	} finally {
		wait(-1);
	}
}

export const get = (path, params, how) => send("GET", path, { params, ...how });

/** Address of the small picture of an image. */
export const preview = ({ id, digest }, library, size, part) => address(`images/${encodeURIComponent(id)}/preview`, { v: digest, size, library, part });
