// The words of the page, which the server put into the document in the user's language.

/** What the server tells the scripts at the start. */
export const start = JSON.parse(document.getElementById("start")?.textContent || '{"texts":{}}');

const plural = new Intl.PluralRules(start.language);
const numbers = new Intl.NumberFormat(start.language);

/** @param {number} n */
export const number = (n) => numbers.format(n);

/**
 * A text with its values; of one with several forms, the form for `n`.
 * @param {string} key @param {Record<string, any>} [values]
 */
export function t(key, values = {}) {
  let text = start.texts[key] ?? key;
  if (typeof text === "object") text = text[plural.select(values.n)] ?? text.other;
  return text.replace(/\{(\w+)\}/g, (whole, name) =>
    name in values ? (typeof values[name] === "number" ? number(values[name]) : values[name]) : whole,
  );
}

/** @param {string|null} month such as "2024-05" */
export function monthName(month) {
  if (!month) return t("no_date");
  const [year, number] = month.split("-");
  return `${start.texts.months[number - 1]} ${year}`;
}

/** @param {string} iso @param {string} [precision] */
export function dateText(iso, precision) {
  const length = { year: 4, month: 7, day: 10 }[precision || ""];
  if (length === 4) return iso.slice(0, 4);
  if (length === 7) return monthName(iso.slice(0, 7));
  const style = length ? { dateStyle: "long" } : { dateStyle: "long", timeStyle: "short" };
  const [date, time = "00:00"] = iso.slice(0, 16).split("T");
  const [year, month, day] = date.split("-").map(Number);
  const [hour, minute] = time.split(":").map(Number);
  // The wall clock of the camera, wherever the browser is.
  const moment = new Date(Date.UTC(year, month - 1, day, hour, minute));
  return new Intl.DateTimeFormat(start.language, { ...style, timeZone: "UTC" }).format(moment);
}
