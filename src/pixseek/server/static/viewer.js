// One image on the whole window: look, zoom, go on, search from it, say something of it.

import { address, get } from "./api.js";
import { byId, isCalm, on } from "./dom.js";
import { altOf, createFacts, nameOf } from "./facts.js";
import { keys, setContext } from "./keys.js";
import { say } from "./saying.js";
import { createStage } from "./stage.js";
import { mayWrite, ofLibrary } from "./state.js";
import { t } from "./texts.js";
import { failed, toast } from "./toast.js";

/** What this browser keeps; nothing if it may not. */
function stored() {
	try {
		return localStorage;
	} catch {
		return {};
	}
}

/** @param {any} app */
export function createViewer(app) {
	const { state } = app;
	const dialog = byId("viewer");
	let id = "";
	let record = null;
	let about = null; // what the server says of it
	let isAway = false;
	let openedHere = false;
	let loading; // what is asked of it
	let outlined; // whether lines of text in pictures were
	let tags;
	let onward; // where the focus goes after it is closed, if not to the thumbnail

	const place = () => app.list?.indexOf(id) ?? -1;
	const stage = createStage({
		library: () => state.now.library,
		swiped: (step) => (step ? go(step) : close()),
		away: () => facts.show(record, about, (isAway = true)),
	});
	let region;
	/** Loaded with the first image that is opened: lists show nothing of it. */
	const drawing = async () => {
		const { createRegion } = await import("./region.js");
		return (region ||= createRegion(stage, (box) => app.seek(`id:${id}@${box.map((each) => +each.toFixed(4))}`)));
	};
	const facts = createFacts({
		go: app.seek, rate, copy,
		say: (what) => say(app, [id], what),
		tags: () => (tags ??= get("facets", { ...ofLibrary(state.now), q: "has:tags" }, { quiet: true }).then((all) => Object.keys(all.tag || {}), () => [])),
	});

	const acts = {
		close, copy,
		similar: () => app.seek(`id:${id}${app.at?.() || ""}`),
		region: () => (region ? region.begin() : drawing().then(({ begin }) => begin())),
		like: () => lean(true),
		dislike: () => lean(false),
		info: () => panel(),
		left: () => go(-1),
		right: () => go(1),
	};
	for (const tool of dialog.querySelectorAll("[id^=v-]")) {
		const act = acts[tool.id.slice(2)];
		if (act) tool.onclick = () => act();
		if (tool.dataset.key) keys.push({ key: tool.dataset.key, context: "viewer", text: tool.title, run: () => tool.click() });
	}
	dialog.oncancel = (event) => (event.preventDefault(), region?.end() || close());
	/** Leave, and go on somewhere else. */
	app.close = (then) => {
		if (!dialog.open) return then();
		onward = then;
		close();
	};
	panel(stored().facts === "1" && innerWidth > 700);

	function panel(shows = facts.element.hidden) {
		facts.element.hidden = !shows;
		byId("v-info").ariaPressed = shows;
		if (dialog.open) stored().facts = shows ? "1" : "";
	}

	/** Change the document while the picture flies from one place to another. */
	function fly(from, change, to) {
		const start = from();
		if (!document.startViewTransition || isCalm() || !start) return change();
		const name = (element, text) => element && (element.style.viewTransitionName = text);
		name(start, "photo");
		const flight = document.startViewTransition(() => {
			name(start, "");
			change();
			name(to(), "photo");
		});
		flight.ready.catch(() => {}); // the next one began
		flight.finished.finally(() => name(to(), ""));
	}
	const thumb = () => app.grid.tileOf(id)?.querySelector("img");

	async function show(next) {
		id = next;
		region?.end();
		const i = place();
		const { length } = app.list || {};
		byId("v-left").hidden = i < 1;
		byId("v-right").hidden = i < 0 || i + 1 >= length;
		if (app.list?.known(i)) present(app.list.known(i));
		const { q, dates } = state.now;
		try {
			const found = await (loading = get(`../facts/${encodeURIComponent(next)}`, { ...ofLibrary(state.now), q, dates }, { key: "viewer", quiet: true }));
			if (id !== next || !state.now.image) return;
			about = found;
			present(found.record);
		} catch (error) {
			failed(error);
			return record || (dialog.open ? close() : state.go({ image: "" }, { replace: true }));
		}
		byId("v-count").textContent = i < 0 ? "" : t("place", { n: i + 1, total: length });
		for (const near of [i + 1, i - 1]) if (i >= 0 && near >= 0 && near < length) app.list.record(near).then(stage.preload);
	}

	function present(next) {
		if (about?.record.id !== next.id) about = null;
		isAway = next.is_there === false || (isAway && record?.id === next.id);
		record = next;
		byId("v-like").ariaPressed = about?.leans === true;
		byId("v-dislike").ariaPressed = about?.leans === false;
		const download = byId("v-download");
		download.href = address(`images/${encodeURIComponent(id)}/original`, ofLibrary(state.now));
		download.download = nameOf(next);
		stage.show(next, altOf(next));
		facts.show(next, about, isAway);
		if ((app.filmed ||= next.duration_s)) app.film("play", next, about);
		if ((outlined ||= about?.boxes.length)) import("./seen.js").then(({ outline }) => outline(stage.picture, about?.boxes || []));
	}

	function open(next) {
		id = next;
		fly(thumb, () => {
			if (!state.now.image) return;
			dialog.showModal();
			stage.element.focus();
			drawing();
		}, () => dialog.open && stage.picture);
		show(next);
	}

	/** Leave: back in the history if we came from the list. */
	function close() {
		if (!dialog.open) return;
		if (openedHere) history.back();
		else state.go({ image: "" }, { replace: true });
	}

	function closed() {
		const i = place();
		if (i >= 0) app.grid.focus(i, { focus: false });
		fly(() => stage.picture, () => {
			dialog.close();
			stage.show((record = about = null));
			onward ? onward() : app.grid.focus(i < 0 ? app.grid.current : i);
			onward = null;
		}, () => !dialog.open && thumb());
	}

	function go(step) {
		const to = place() >= 0 && app.list.id(place() + step);
		if (to) app.open(to, { replace: true });
	}

	async function lean(to) {
		await loading;
		if (!about) return;
		const isOff = about.leans === to;
		const q = isOff ? about.neither : to ? about.like : about.dislike;
		if (!q && !isOff) return toast(t("dislike_alone"));
		about.leans = isOff ? null : to;
		state.go({ q, image: id }, { replace: true });
		toast(t(isOff ? "lean_none" : to ? "liked" : "disliked"));
	}

	async function rate(n) {
		if (await say(app, [id], { rating: n })) toast(t(n ? "rated" : "unrated", { n }));
	}

	async function copy(text) {
		// Only what is asked of one image says where it is.
		await loading;
		text ??= record.path || record.uri;
		// Pages without TLS have no clipboard.
		await navigator.clipboard?.writeText(text).then(() => toast(t("copied", { what: text })), () => toast(text));
		if (!navigator.clipboard) prompt(t("copy_path"), text);
	}

	setContext(() => (document.querySelector("dialog[open]:not(#viewer)") ? "none" : dialog.open ? "viewer" : "grid"));
	on(state, "change", ({ detail }) => {
		const { image } = state.now;
		if (image && !dialog.open) {
			openedHere = !detail.isBack;
			open(image);
		} else if (image && image !== id) show(image);
		else if (!image && dialog.open) closed();
	});
	on(app.events, "list", () => dialog.open && show(id));
	on(app.events, "changed", ({ detail }) => dialog.open && detail.includes(id) && show(id));
	// The server writes another page if there is no such image: then it is said why.
	if (state.now.image) (document.body.classList.contains("single") ? open : show)(state.now.image);

	const key = (key, text, run) => keys.push({ key, context: "viewer", text, run });
	for (const [side, right, down] of [["Up", 0, -1], ["Down", 0, 1], ["Left", -1, 0], ["Right", 1, 0]]) key(`Shift+Arrow${side}`, "key_pan", () => stage.pan(right, down));
	key("z", "key_zoom", () => stage.toggle());
	key("+ =", "key_zoom", () => stage.zoomBy(1.5));
	key("-", "key_zoom", () => stage.zoomBy(1 / 1.5));
	if (!mayWrite) return;
	const edit = (field) => {
		panel(true);
		facts.element.querySelector(`#${field}`).select();
	};
	key("1 2 3 4 5", "key_rate", (event) => void rate(Number(event.key)));
	key("0", "key_unrate", () => void rate(0));
	key("t", "tag_add", () => edit("tag_add"));
	key("e", "caption_edit", () => edit("caption_edit"));
}
