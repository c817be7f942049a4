// The words of the page, which the server put into the document in the user's language.

import { h } from "./dom.js";

/** What the server tells the scripts at the start. */
export const start = JSON.parse(document.getElementById("start")?.textContent || '{"texts":{}}');

const plural = new Intl.PluralRules(start.language);
export const number = (n) => n.toLocaleString(start.language);

/** A text with its values; of one with several forms, the form for `n`. @param {string} key */
export function t(key, values = {}) {
	const text = start.texts[key] ?? key;
	return filled(text[plural.select(values.n)] ?? text.other ?? text, values);
}

const filled = (text, values) =>
	text.replace(/\{(\w+)\}/g, (whole, name) => {
		const value = values[name] ?? whole;
		return typeof value === "number" ? number(value) : value;
	});

/** What stands in a text where a pattern has names, as `_values` of texts.py finds it; null if it does not fit. */
function valuesOf(pattern, text) {
	const [first, ...rest] = pattern.split(/\{(\w+)\}/);
	let at = first.length;
	if (!text.startsWith(first) || (!rest.length && text !== first)) return null;
	const values = {};
	while (rest.length) {
		const [name, after] = rest.splice(0, 2);
		const end = rest.length ? text.indexOf(after, at + 1) : text.endsWith(after) ? text.length - after.length : -1;
		if (end <= at) return null;
		values[name] = text.slice(at, end).replace(/^\d{1,3}(,\d{3})+$/, (n) => n.replaceAll(",", start.texts.thousands));
		at = end + after.length;
	}
	return values;
}

/** What the library says, in the user's language; if it is not known there, marked as the English that it is. */
export function told(text, isText = true) {
	for (const [pattern, other] of Object.entries(start.texts.said || {})) {
		const values = valuesOf(pattern, text);
		if (values) return filled(other, values);
	}
	return isText && text && start.language !== "en" ? h("span", { lang: "en" }, text) : text;
}

/** @param {string|null} month such as "2024-05" */
export function monthName(month) {
	const [year, n] = month ? month.split("-") : [];
	return month ? `${start.texts.months[n - 1]} ${year}` : t("no_date");
}
