// The panel about an image: what is said of it, and can be changed; why it was found; facts.

import { quoted } from "./chips.js";
import { button, h } from "./dom.js";
import { tagsOf } from "./saying.js";
import { mayWrite } from "./state.js";
import { t } from "./texts.js";

export const nameOf = (record) => (record.uri || record.id).split("/").pop();
export const altOf = (record) => record.caption || t("photo_named", { name: nameOf(record) });

/**
 * @param {{go(q: string): void, say(what: Record<string, any>): void, rate(n: number): void,
 *   copy(text: string): void, tags(): Promise<string[]>}} act
 */
export function createFacts(act) {
	const element = document.querySelector(".panel");
	const known = h("datalist", { id: "known-tags" });
	const search = (text, q) => h("a", { href: "", click: (event) => (event.preventDefault(), act.go(q)) }, h("bdi", {}, text));

	/** A field that sends what was changed when it is left or Enter is pressed; Escape changes nothing. */
	function field(tag, id, value, send, more) {
		const change = () => {
			const now = made.value.trim();
			if (tag === "input") made.value = "";
			if (now !== value) send(now);
		};
		const made = h(tag, { id, "aria-label": t(id), placeholder: t(id), maxlength: "5000", dir: "auto", ...more, change, keydown: (event) => {
			if (event.key === "Escape") made.value = value;
			else if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
			event.preventDefault();
			if (event.key === "Enter" && tag === "input") change();
			else element.focus();
		} });
		made.defaultValue = value;
		return made;
	}

	function caption(r) {
		if (!mayWrite) return h("p", {}, h("bdi", {}, r.caption || ""));
		return field("textarea", "caption_edit", r.caption || "", (text) => act.say({ caption: text }), { rows: "1" });
	}

	function rating(r) {
		const n = Math.max(0, r.rating || 0);
		const star = (i) => h(mayWrite ? "button" : "span", mayWrite ? { type: "button", "aria-pressed": String(i === n), "aria-label": t("rated", { n: i }), click: () => act.rate(i === n ? 0 : i) } : {}, i <= n ? "★" : "☆");
		return h("div", { class: "stars", role: mayWrite ? "group" : "img", "aria-label": mayWrite ? t("rating") : t("rated", { n }) }, ...[1, 2, 3, 4, 5].map(star));
	}

	const tags = (r) => h("ul", { class: "tags" }, ...(r.tags || []).map((tag) => h("li", { class: "chip" }, search(tag, `tag:=${quoted(tag)}`), mayWrite && button("close", t("remove", { what: tag }), () => act.say({ remove: [tag] })))));

	/** @param {string[][]} facts name, text, query, address */
	const table = (facts) => h("dl", {}, ...facts.flatMap(([name, text, q, href]) => [h("dt", {}, name), h("dd", {},
		q ? search(text, q) : href ? h("a", { href, target: "_blank", rel: "noreferrer noopener" }, h("bdi", {}, text)) : h("bdi", {}, text))]));

	let shown = "";
	return {
		element,
		/** @param {any} r the record @param {any} about what the server says of it, if it is here @param {boolean} isAway */
		show(r, about, isAway) {
			const active = element.contains(document.activeElement) && document.activeElement;
			// Somebody writes: what they send shows all again.
			if (active && active.value !== (active.defaultValue ?? active.value) && r.id === shown) return;
			shown = r.id;
			const held = active && (active.id ? `#${active.id}` : `[aria-label="${CSS.escape(active.ariaLabel)}"]`);
			const isOpen = element.querySelector("details")?.open;
			const path = r.path || r.uri || "";
			element.replaceChildren(...[
				h("h2", {}, h("bdi", {}, nameOf(r))),
				isAway && h("p", { class: "note" }, t("file_away")),
				caption(r), rating(r), tags(r),
				mayWrite && field("input", "tag_add", "", (text) => act.say({ add: tagsOf(text) }), { list: "known-tags", autocomplete: "off", enterkeyhint: "done",
					focus: () => act.tags().then((all) => known.replaceChildren(...all.map((value) => h("option", { value })))) }), known,
				about?.why.length > 0 && h("section", {}, h("h3", {}, t("why")), h("ul", { class: "why" }, ...about.why.map((each) => h("li", {}, h("bdi", {}, each))))),
				about && table(about.facts),
				h("p", { class: "path" }, h("bdi", {}, path), button("copy", t("copy_path"), () => act.copy(path))),
				about && h("details", { open: isOpen }, h("summary", {}, t("all_metadata", { n: about.more.length })), table(about.more)),
			].filter(Boolean));
			if (!held) return;
			const next = element.querySelector(held) || element;
			next.focus();
			next.select?.();
		},
	};
}
