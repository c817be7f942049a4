// Many images at once: choose them, then tag, rate, export or compare them.

import { byId, h, icon, on } from "./dom.js";
import { keys } from "./keys.js";
import { say, tagsOf } from "./saying.js";
import { base, mayWrite, ofLibrary } from "./state.js";
import { t } from "./texts.js";
import { toast } from "./toast.js";

/** Milliseconds that a finger rests on a picture to choose it, and pixels that it may move. */
const HELD = 480;
const STILL = 12;

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
		let check = tile.querySelector(".check");
		if (!check) tile.append((check = h("button", { type: "button", class: "check", tabindex: "-1", "aria-label": t("key_select") }, icon("check"))));
		check.ariaPressed = is;
	}

	function changed() {
		bar.hidden = !chosen.size;
		document.body.classList.toggle("selecting", chosen.size > 0);
		bar.querySelector("p").textContent = t("selected", { n: chosen.size });
		for (const [, tile] of app.grid.tiles()) decorate(tile);
		// Whoever goes back, or loads the page again, finds the same images chosen.
		app.state.keep({ chosen: chosen.size && chosen.size === app.list?.length ? "all" : [...chosen] });
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

	on(grid, "click", (event) => {
		// The end of a long press.
		if (press.isDone) return void (press = {}, event.preventDefault(), event.stopPropagation());
		const i = event.target.closest(".tile")?.dataset.i;
		if (!i || !(chosen.size || event.target.closest(".check") || event.ctrlKey || event.metaKey || event.shiftKey)) return;
		event.preventDefault();
		event.stopPropagation();
		if (event.shiftKey && chosen.size) range(Number(i));
		else toggle(Number(i));
	}, true);

	// ------------------------------------------------------------ by finger
	let press = {};

	/** Choose what a finger rests on, once. */
	function held() {
		if (!press.isDone) toggle(press.i);
		press.isDone = true;
	}
	on(grid, "pointerdown pointermove pointerup pointercancel", ({ type, target, pointerType, clientX: x, clientY: y }) => {
		// The browser may scroll, the finger move away or be lifted.
		if (type !== "pointermove" || Math.hypot(x - press.x, y - press.y) > STILL) clearTimeout(press.timer);
		if (type !== "pointerdown") return;
		const i = pointerType === "touch" ? target.closest("a")?.parentNode.dataset.i : null;
		press = { i: Number(i), x, y, timer: i && setTimeout(held, HELD) };
	});
	// Some browsers show a menu then; that of a mouse or a key stays.
	on(grid, "contextmenu", (event) => {
		if (event.pointerType !== "touch" || !press.timer) return;
		event.preventDefault();
		held();
	});

	app.decorate = decorate;
	on(app.events, "list", () => {
		const kept = app.state.kept.chosen;
		set(kept === "all" ? app.list.ids : (kept || [...chosen]).filter((each) => app.list.indexOf(each) >= 0));
	});

	const key = (key, text, run) => keys.push({ key, context: "grid", text, run });
	key("x", "key_select", () => (app.list?.length ? toggle(app.grid.current) : false));
	for (const side of ["Right", "Left", "Down", "Up"])
		key(`Shift+Arrow${side}`, "key_range", () => {
			if (!chosen.size) toggle(app.grid.current);
			keys.find((each) => each.key === `Arrow${side}` && each.context === "grid").run();
			range(app.grid.current);
		});
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
