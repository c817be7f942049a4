// What the query says, part by part: each can be taken away, and what is looked for has a weight.

import { get, preview } from "./api.js";
import { byId, debounced, h, icon } from "./dom.js";
import { find } from "./examples.js";
import { ofLibrary } from "./state.js";
import { number, start, t } from "./texts.js";

/** @typedef {{kind: string, shown: string, text: string, weight: number, without: string}} Part */

const SEARCHED = ["text", "id", "image"];
const LEAST = 0.2;
const MOST = 3;

/** The query of some parts. @param {Part[]} parts */
export function joined(parts) {
  const terms = parts
    .filter((each) => SEARCHED.includes(each.kind))
    .map((each) => (each.weight === 1 ? each.text : `${each.weight}*${each.text}`));
  // Parentheses next to each other would be multiplied.
  const between = terms.some((each) => each.includes("(")) ? " AND " : " ";
  const rest = parts.filter((each) => !SEARCHED.includes(each.kind)).map((each) => each.text);
  return [terms.join(between), ...rest].filter(Boolean).join(" ");
}

/** A value as the query language writes it. @param {string} text */
export const quoted = (text) => `"${text.replace(/\\/g, "\\\\").replace(/"/g, '\\"')}"`;

/** @param {any} app */
export function createChips(app) {
  const chips = byId("chips");
  /** @type {Part[]} */
  app.parts = start.parts || [];
  let isFirst = true;

  /** @param {Record<string, string>} changes @param {any} [how] */
  const go = (changes, how) => app.state.go({ image: "", ...changes }, how);

  async function show() {
    const { q, example, weight } = app.state.now;
    const parts = app.parts;
    const many = parts.filter((each) => SEARCHED.includes(each.kind)).length + (example ? 1 : 0) > 1;
    const made = parts.map((part, i) => {
      const picture = part.kind === "id" && h("img", { src: preview({ id: part.shown }, app.state.now.library, 192), alt: "" });
      const words = part.kind === "id" ? t("like_this") : part.shown;
      const weighs = many && SEARCHED.includes(part.kind);
      return chip(part.kind, words, picture, () => (part.kind === "date" ? go({ dates: "false" }) : go({ q: part.without })), {
        title: part.kind === "date" ? t("date_chip", { words: part.shown, means: part.text }) : null,
        remove: part.kind === "date" ? t("date_as_words", { words: part.shown }) : "",
        weight: weighs ? part.weight : 0,
        weigh: (value) => go({ q: joined(parts.map((each, j) => (j === i ? { ...each, weight: value } : each))) }, { replace: true }),
      });
    });
    if (example) {
      const blob = await find(example);
      const picture = blob && h("img", { src: URL.createObjectURL(blob), alt: "", load: (event) => URL.revokeObjectURL(event.target.src) });
      made.unshift(
        chip("image", t("your_picture"), picture, () => go({ example: "", weight: "" }), {
          weight: many ? Number(weight) || 1 : 0,
          weigh: (value) => go({ weight: value === 1 ? "" : String(value) }, { replace: true }),
        }),
      );
    }
    const focused = chips.contains(document.activeElement) ? [...chips.querySelectorAll("input")].indexOf(document.activeElement) : -1;
    chips.replaceChildren(...made);
    if (focused >= 0) chips.querySelectorAll("input")[focused]?.focus();
    if (q === app.state.now.q) app.emit("parts");
  }

  /**
   * @param {string} kind @param {string} words @param {Node|null|false} picture @param {() => void} remove
   * @param {{title?: string|null, remove?: string, weight?: number, weigh?: (value: number) => void}} more
   */
  function chip(kind, words, picture, remove, { title, remove: label, weight = 0, weigh } = {}) {
    const said = h("output", {}, weight ? `${number(weight)}×` : "");
    const weighs = debounced((value) => weigh?.(value), 250);
    return h(
      "li",
      { class: `chip ${kind}`, title: title || words },
      picture,
      h("bdi", {}, words),
      weight > 0 &&
        h("input", {
          type: "range", min: LEAST, max: MOST, step: 0.1, value: weight, "aria-label": t("weight_of", { what: words }),
          input: (event) => {
            said.value = `${number(Number(event.target.value))}×`;
            weighs(Number(event.target.value));
          },
        }),
      weight > 0 && said,
      h("button", { type: "button", "aria-label": label || t("remove", { what: words }), title: label, click: remove }, icon("close")),
    );
  }

  /** Ask what the parts of the query are. @returns {Promise<boolean>} whether it looks for something */
  async function load() {
    const { q, dates, example } = app.state.now;
    if (!isFirst) app.parts = q ? await get("parts", { q, dates, ...ofLibrary(app.state.now) }, { key: "parts", quiet: true }).catch(() => []) : [];
    isFirst = false;
    await show();
    return Boolean(example) || app.parts.some((each) => SEARCHED.includes(each.kind));
  }

  return { load, show };
}
