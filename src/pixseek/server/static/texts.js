// The words of the page, which the server put into the document in the user's language.

/** What the server tells the scripts at the start. */
export const start = JSON.parse(document.getElementById("start")?.textContent || '{"texts":{}}');

const plural = new Intl.PluralRules(start.language);
export const number = (n) => n.toLocaleString(start.language);

/** A text with its values; of one with several forms, the form for `n`. @param {string} key */
export function t(key, values = {}) {
	const text = start.texts[key] ?? key;
	return (text[plural.select(values.n)] ?? text.other ?? text).replace(/\{(\w+)\}/g, (whole, name) => {
		const value = values[name] ?? whole;
		return typeof value === "number" ? number(value) : value;
	});
}

/** @param {string|null} month such as "2024-05" */
export function monthName(month) {
	const [year, n] = month ? month.split("-") : [];
	return month ? `${start.texts.months[n - 1]} ${year}` : t("no_date");
}

/** @param {string} iso the wall clock of the camera, wherever the browser is */
export function dateText(iso, precision) {
	if (precision === "year") return iso.slice(0, 4);
	if (precision === "month") return monthName(iso.slice(0, 7));
	const moment = new Date(`${iso.slice(0, 19)}${iso.length > 10 ? "" : "T00:00"}Z`);
	return moment.toLocaleString(start.language, { dateStyle: "long", timeZone: "UTC", ...(precision === "day" ? {} : { timeStyle: "short" }) });
}
