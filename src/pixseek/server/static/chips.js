// What the query says, part by part: each can be taken away, and what is looked for has a weight.

import { get, preview } from "./api.js";
import { byId, debounced, h, icon } from "./dom.js";
import { find } from "./examples.js";
import { ofLibrary } from "./state.js";
import { number, start, t } from "./texts.js";

/** @typedef {{kind: string, shown: string, text: string, weight: number, without: string}} Part */

const looksFor = ({ kind }) => ["text", "id", "image"].includes(kind);

/** The query of some parts. @param {Part[]} parts */
export function joined(parts) {
	const terms = parts.filter(looksFor).map(({ weight, text }) => (weight === 1 ? text : `${weight}*${text}`));
	// Parentheses next to each other would be multiplied.
	const between = terms.some((each) => each.includes("(")) ? " AND " : " ";
	return [terms.join(between), ...parts.filter((each) => !looksFor(each)).map((each) => each.text)].filter(Boolean).join(" ");
}

/** A value as the query language writes it. */
export const quoted = (text) => `"${text.replace(/["\\]/g, "\\$&")}"`;

export function createChips(app) {
	const chips = byId("chips");
	app.parts = start.parts || [];
	let asked = app.parts; // of the query that is searched now
	let isFirst = true;
	const go = (changes, replace = false) => app.state.go({ image: "", ...changes }, { replace });

	function show() {
		const { example, weight, library } = app.state.now;
		const parts = (app.parts = asked);
		const many = parts.filter(looksFor).length + Boolean(example) > 1;
		const made = parts.map((part, i) => {
			const { kind, shown, text, without } = part;
			const isDate = kind === "date";
			const id = /^-?\(?id:"([^"]+)"/.exec(text)?.[1];
			return chip(kind, id ? shown.replace(id, t("like_this")) : shown, {
				src: id && preview({ id }, library),
				title: isDate && t("date_chip", { words: shown, means: text }),
				label: isDate && t("date_as_words", { words: shown }),
				remove: () => go(isDate ? { dates: "false" } : { q: without }),
				weight: many && looksFor(part) && text[0] !== "@" && part.weight,
				weigh: (weight) => go({ q: joined(parts.with(i, { ...part, weight })) }, true),
			});
		});
		if (example) {
			const blob = find(example);
			made.unshift(
				chip("image", t("your_picture"), {
					src: blob && URL.createObjectURL(blob),
					remove: () => go({ example: "", weight: "" }),
					weight: many && (Number(weight) || 1),
					weigh: (value) => go({ weight: String(value) }, true),
				}),
			);
		}
		// A slider that is moved by keys keeps the focus; after a part that is taken away it goes on to the next.
		const controls = () => [...chips.querySelectorAll("input, button")];
		const at = controls().indexOf(document.activeElement);
		chips.replaceChildren(...made);
		chips.replaceWith(chips);
		if (at >= 0) (controls()[at] || controls().at(-1) || byId("main")).focus();
		app.emit("parts");
	}

	function chip(kind, words, { src, title, label, remove, weight, weigh }) {
		const shown = (value) => `${number(value)}×`;
		const said = weight && h("output", {}, shown(weight));
		const weighs = debounced(weigh, 250);
		const input = ({ target: { value } }) => {
			said.value = shown(Number(value));
			weighs(Number(value));
		};
		return h(
			"li",
			{ class: `chip ${kind}`, title: title || words },
			src && h("img", { src, alt: "", error: ({ target }) => target.remove() }),
			h("bdi", {}, words),
			weight && h("input", { type: "range", min: 0.2, max: 3, step: 0.1, value: weight, "aria-label": t("weight_of", { what: words }), input }),
			said,
			h("button", { type: "button", "aria-label": label || t("remove", { what: words }), click: remove }, icon("close")),
		);
	}

	/** Ask what the parts of the query are. @returns {Promise<boolean>} whether it looks for something */
	async function load() {
		const { q, dates, example } = app.state.now;
		if (!isFirst || (q && !asked.length)) asked = q ? await get("parts", { q, dates, ...ofLibrary(app.state.now) }, { key: "parts", quiet: true }).catch(() => []) : [];
		isFirst = false;
		return Boolean(example) || asked.some(looksFor);
	}

	return { load, show };
}
