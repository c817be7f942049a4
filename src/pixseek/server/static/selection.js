// Many images at once: choose them, then tag, rate, export or compare them.

import { byId, h, icon } from "./dom.js";
import { keys } from "./keys.js";
import { say, tagsOf } from "./saying.js";
import { base, mayWrite, ofLibrary } from "./state.js";
import { t } from "./texts.js";
import { toast } from "./toast.js";

/** @param {any} app */
export function createSelection(app) {
	const chosen = new Set();
	const grid = byId("grid");
	let last = 0;

	const bar = byId("selection");
	const [field, rating] = [byId("s-tags"), byId("s-rating")];
	bar.onsubmit = sent;
	byId("s-none").onclick = () => set([]);

	/** Tag at once; the other buttons send the form, and the server answers with a file or a page. */
	async function sent(event) {
		const { submitter } = event;
		bar.ids.value = [...chosen];
		if (submitter.value !== "tag") return void (submitter.formAction = new URL(`${submitter.value}?${new URLSearchParams(ofLibrary(app.state.now))}`, base));
		event.preventDefault();
		const tags = tagsOf(field.value);
		const add = tags.filter((each) => each[0] !== "-");
		const remove = tags.filter((each) => each[0] === "-").map((each) => each.slice(1));
		if (!tags.length || !(await say(app, [...chosen], { add, remove }))) return;
		field.value = "";
		toast(t("tagged", { n: chosen.size }));
	}

	const rate = async (some, n) => (await say(app, some, { rating: n })) && toast(t(n ? "rated_many" : "unrated_many", { n: some.length, stars: n }));

	function decorate(tile) {
		const is = chosen.has(tile.dataset.id);
		tile.classList.toggle("chosen", is);
		if (!tile.querySelector(".check")) tile.append(h("button", { type: "button", class: "check", tabindex: "-1", "aria-label": t("key_select") }, icon("check")));
		tile.querySelector(".check").ariaPressed = is;
	}

	function changed() {
		bar.hidden = !chosen.size;
		document.body.classList.toggle("selecting", chosen.size > 0);
		bar.querySelector("p").textContent = t("selected", { n: chosen.size });
		for (const [, tile] of app.grid.tiles()) decorate(tile);
	}

	function set(some) {
		chosen.clear();
		for (const each of some) chosen.add(each);
		changed();
	}

	function toggle(i) {
		last = i;
		if (!chosen.delete(app.list.id(i))) chosen.add(app.list.id(i));
		changed();
	}

	/** Choose all from the one that was chosen last. */
	function range(i) {
		for (let at = Math.min(i, last); at <= Math.max(i, last); at++) chosen.add(app.list.id(at));
		changed();
	}

	grid.addEventListener("click", (event) => {
		const i = event.target.closest(".tile")?.dataset.i;
		if (!i || !(chosen.size || event.target.closest(".check") || event.ctrlKey || event.metaKey || event.shiftKey)) return;
		event.preventDefault();
		event.stopPropagation();
		if (event.shiftKey && chosen.size) range(Number(i));
		else toggle(Number(i));
	}, true);
	app.decorations.push(decorate);
	app.events.addEventListener("list", () => set([...chosen].filter((each) => app.list.indexOf(each) >= 0)));

	const key = (name, text, run, hidden = false) => keys.push({ key: name, context: "grid", text, run, hidden });
	key("x", "key_select", () => (app.list?.length ? toggle(app.grid.current) : false));
	for (const side of ["Right", "Left", "Down", "Up"])
		key(`Shift+Arrow${side}`, "key_range", () => {
			if (!chosen.size) toggle(app.grid.current);
			keys.find((each) => each.key === `Arrow${side}` && each.context === "grid").run();
			range(app.grid.current);
		}, side !== "Right");
	key("Ctrl+a", "select_all", () => set(app.list?.ids || []));
	key("Escape", "select_none", () => (chosen.size ? set([]) : false));
	if (!mayWrite) return;
	field.onkeydown = (event) => void (event.key === "Escape" && app.grid.focus(app.grid.current));
	rating.onchange = () => {
		rate([...chosen], Number(rating.value));
		rating.value = "";
	};
	key("t", "tag_many", () => (chosen.size ? field.focus() : false));
	key("1 2 3 4 5", "key_rate", (event) => {
		const some = chosen.size ? [...chosen] : grid.contains(document.activeElement) ? [app.list.id(app.grid.current)] : [];
		return some.length > 0 && void rate(some, Number(event.key));
	});
}
