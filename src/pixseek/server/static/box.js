// The box: suggestions while one types, errors at their place, pictures dropped, pasted or chosen.

import { get } from "./api.js";
import { byId, debounced, h, icon, on } from "./dom.js";
import { keep } from "./examples.js";
import { keys } from "./keys.js";
import { addressOf, base, ofLibrary } from "./state.js";
import { number, t, told } from "./texts.js";

const RECENT = "pixseek-recent";
const ICONS = { recent: "clock", saved: "star", value: "tag" };
const DRAGGED = "application/x-pixseek";

function recent() {
	try {
		return JSON.parse(localStorage[RECENT]);
	} catch {
		return [];
	}
}

export function createBox(app) {
	const form = byId("search");
	const box = byId("q");
	const file = byId("file");
	const list = byId("suggestions");
	const wrong = byId("wrong");
	const sort = byId("sort");
	let shown = [];
	let at = -1;
	let typed = "";
	let isAsked = false; // for suggestions; no more once the query is searched

	const go = (changes) => app.state.go({ image: "", sort: "", ...changes });

	function search(q = box.value.trim()) {
		show([]);
		isAsked = false;
		try {
			if (q) localStorage[RECENT] = JSON.stringify([q, ...recent().filter((each) => each !== q)].slice(0, 30));
		} catch {
			// No room, or not allowed: then nothing is remembered.
		}
		if (q === app.state.now.q) app.load();
		else go({ q, dates: "" });
	}

	on(form, "submit", (event) => {
		event.preventDefault();
		search();
		// The keyboard of a phone would cover the results.
		if (matchMedia("(hover: none)").matches) box.blur();
	});
	on(form, "change", ({ target: { name, value } }) => {
		if (name === "sort") go({ sort: value });
		if (name === "group_by") app.state.go({ group_by: value, image: "" });
		// Saved searches, counts and rights are those of a library.
		if (name === "library") location.assign(addressOf({ library: value }));
	});
	on(app.state, "change", () => {
		const { q } = app.state.now;
		box.value = q;
		byId("group_by").value = app.state.now.group_by;
		document.title = q ? `${q} · pixseek` : "pixseek";
		explain();
	});

	/** Offer the orders that make sense; the first is the default. */
	function orders(isRanked) {
		const names = [...(isRanked ? ["relevance"] : []), "newest", "oldest", "name", "largest", "smallest"];
		sort.replaceChildren(...names.map((each, i) => h("option", { value: i ? each : "", selected: each === app.state.now.sort }, t(`sort_${each}`))));
	}

	// ------------------------------------------------------------ suggestions

	const ask = () => ((isAsked = true), asking());
	const asking = debounced(async () => {
		const text = box.value;
		const old = recent().filter((each) => each !== text && each.toLowerCase().startsWith(text.toLowerCase()));
		const found = text.trim() && (await get("suggest", { text, ...ofLibrary(app.state.now) }, { key: "suggest", quiet: true }).catch(() => null));
		if (document.activeElement !== box || box.value !== text || !isAsked) return;
		explain(found || undefined);
		// They would hide what is wrong.
		show(found?.problem ? [] : [...old.slice(0, found ? 3 : 8).map((each) => ({ text: each, label: each, kind: "recent" })), ...(found?.suggestions || [])]);
	}, 90);

	function show(some) {
		shown = some;
		at = -1;
		list.hidden = !some.length;
		box.ariaExpanded = String(!list.hidden);
		box.removeAttribute("aria-activedescendant");
		list.replaceChildren(
			...some.map(({ kind, label, count }, i) =>
				h("li", { id: `s${i}`, role: "option", pointerdown: (event) => (event.preventDefault(), choose(i)) }, icon(ICONS[kind] || "search"), h("bdi", {}, label), count != null && h("span", {}, number(count))),
			),
		);
	}

	/** Mark a suggestion, or none: then the box holds what was typed. */
	function mark(i) {
		if (at < 0) typed = box.value;
		const all = [...list.children];
		at = i < -1 ? all.length - 1 : i >= all.length ? -1 : i;
		all.forEach((each, n) => (each.ariaSelected = String(n === at)));
		all[at]?.scrollIntoView({ block: "nearest" });
		box.setAttribute("aria-activedescendant", all[at]?.id || "");
		box.value = at < 0 ? typed : shown[at].text;
	}

	/** Take a suggestion: a whole query is searched, the name of a field waits for its value. */
	function choose(i) {
		box.value = shown[i].text;
		if (shown[i].kind === "field") ask();
		else search();
	}

	on(box, "input", ask);
	on(box, "focus", () => box.value || ask());
	on(box, "blur", () => show([]));
	on(box, "keydown", (event) => {
		const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
		if (step && shown.length) mark(at < 0 && step < 0 ? -2 : at + step);
		else if (step > 0 && app.list?.length && box.value.trim() === app.state.now.q) app.grid.focus(app.grid.current);
		else if (step) return step > 0 && ask();
		else if (event.key === "Enter" && at >= 0) choose(at);
		else if (event.key === "Escape") shown.length ? show([]) : box.blur();
		else return;
		event.preventDefault();
	});

	/** Say what is wrong with the query, and show the part that is. */
	function explain({ problem, advice = "", at: from, length = 1 } = {}) {
		wrong.hidden = !problem;
		box.ariaInvalid = String(!wrong.hidden);
		if (!problem) return;
		const [text, to] = [box.value, from + Math.max(1, length)];
		const place = from != null && h("code", {}, text.slice(0, from), h("mark", {}, text.slice(from, to) || "␣"), text.slice(to));
		wrong.replaceChildren(place || "", h("strong", {}, told(problem)), " ", told(advice));
	}

	// ------------------------------------------------------------ pictures

	async function searchBy(picture) {
		if (picture.type && !picture.type.startsWith("image/")) return app.say(t("not_a_picture", { name: picture.name }), { wrong: true });
		go({ example: await keep(picture), weight: "" });
	}

	/** Search for more like an image of the library. */
	function like(id) {
		const { q } = app.state.now;
		if (!new RegExp(`id:"?${id}`).test(q)) go({ q: `${q} id:${id}`.trim() });
	}

	on(byId("choose"), "click", () => file.click());
	on(file, "change", () => searchBy(file.files[0]));
	on(window, "paste", (event) => {
		const picture = [...event.clipboardData.files].find((each) => each.type.startsWith("image/"));
		if (!picture) return;
		event.preventDefault();
		searchBy(picture);
	});

	let inside = 0;
	const dragging = (count) => document.body.classList.toggle("dragging", (inside = Math.max(0, count)) > 0);
	on(byId("grid"), "dragstart", ({ target, dataTransfer }) => dataTransfer.setData(DRAGGED, target.closest(".tile")?.dataset.id || ""));
	on(window, "dragenter dragleave dragover dragend drop", (event) => {
		const { type, dataTransfer, target } = event;
		if (type === "dragend") return dragging(0);
		if (!["Files", DRAGGED, "text/uri-list"].some((each) => dataTransfer.types.includes(each))) return;
		if (type !== "dragleave") event.preventDefault();
		if (type === "dragenter") dragging(inside + 1);
		if (type === "dragleave") dragging(inside - 1);
		if (type !== "drop") return;
		dragging(0);
		const link = dataTransfer.getData("text/uri-list").trim();
		const id = dataTransfer.getData(DRAGGED) || (link.startsWith(`${base}image/`) && new URL(link).pathname.split("/").pop());
		// An image of this page that is let go over the results was not meant for the box.
		if (id) return target.closest("#header, #bar") && like(id);
		if (dataTransfer.files[0]) return searchBy(dataTransfer.files[0]);
		app.say(t("drop_files"), { wrong: true });
	});

	keys.push(
		{ key: "ArrowDown", context: "box", text: "key_results", run: () => false },
		{ key: "/ Ctrl+k", context: "all", text: "key_box", run: () => app.close(() => (box.focus(), box.select())) },
		{ key: "s", context: "grid", text: "similar", run: () => app.list && app.seek(`id:${app.list.id(app.grid.current)}`) },
	);

	return { orders };
}
