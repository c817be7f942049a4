// How the page looks, saved searches, all keys. The menus are in the document that the server sends.

import { send } from "./api.js";
import { byId, h, icon, on } from "./dom.js";
import { keys } from "./keys.js";
import { base, mayWrite, ofLibrary } from "./state.js";
import { start, t } from "./texts.js";

/** The menus, and the look that is chosen in one. @param {() => void} [changed] */
export function createLook(changed) {
	// A menu opens below its button.
	for (const menu of document.querySelectorAll(".menu"))
		on(menu, "beforetoggle", () => {
			const { bottom, right } = document.querySelector(`[popovertarget=${menu.id}]`).getBoundingClientRect();
			menu.style.top = `${bottom + 6}px`;
			menu.style.right = `${Math.max(8, document.documentElement.clientWidth - right)}px`;
		});

	const look = { theme: start.theme, rows: start.rows, language: start.chosen };
	on(byId("view-menu"), "change", ({ target: { name, value } }) => {
		look[name] = value;
		document.cookie = `pixseek_look=${Object.values(look).join(".")}; path=${base.pathname}; max-age=31536000; samesite=lax`;
		if (name === "language") return location.reload();
		document.documentElement.dataset[name] = value;
		changed?.();
	});
}

export function createView(app) {
	createLook(() => app.grid.relayout());
	// ------------------------------------------------------------ saved searches
	const saved = byId("saved");
	const menu = byId("save-menu");
	const name = byId("save-name");

	on(app.state, "change", () => {
		const { q, example } = app.state.now;
		saved.hidden = Boolean(q || example);
		byId("save").hidden = !mayWrite || !q || Boolean(example);
	});

	/** Change a saved search; returns false if that failed. */
	const change = (method, name, json) => send(method, `saved/${encodeURIComponent(name)}`, { json, params: ofLibrary(app.state.now) }).catch((error) => void app.problem(error));

	on(saved, "click", async ({ target }) => {
		const button = target.closest("[data-name]");
		if (button && (await change("DELETE", button.dataset.name))) button.parentNode.remove();
	});
	on(menu, "toggle", ({ newState }) => newState === "open" && name.focus());
	on(menu, "submit", async (event) => {
		event.preventDefault();
		const { q, sort, strength, group_by } = app.state.now;
		const kept = await change("PUT", name.value.trim(), { query: q, ...(sort && { sort }), ...(group_by && { group_by }), ...(strength && { min_strength: strength }) });
		if (!kept) return;
		const called = /^[\w-]+$/.test(kept.name) ? `@${kept.name}` : `@"${kept.name}"`;
		const there = new URL(`?${new URLSearchParams({ q: called, ...ofLibrary(app.state.now) })}`, base).href;
		const label = t("forget", { name: kept.name });
		for (const each of saved.children) if (each.textContent === kept.name) each.remove();
		saved.append(h("li", { class: "chip" }, h("a", { href: there }, h("bdi", {}, kept.name)), h("button", { "data-name": kept.name, "aria-label": label, title: label }, icon("close"))));
		menu.hidePopover();
		app.say(t("saved_as", { name: kept.name }));
	});

	// ------------------------------------------------------------ all keys
	const NAMES = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", Escape: "Esc" };
	const dialog = byId("keys");

	function showKeys() {
		byId("view-menu").hidePopover();
		const all = {};
		for (const { context, text, key } of keys) ((all[context] ||= {})[text] ||= []).push(...key.replace(/Arrow\w+|Escape/g, (each) => NAMES[each]).split(" "));
		dialog.querySelector("div").replaceChildren(
			...Object.entries(all).map(([context, texts]) =>
				h("section", {}, h("h3", {}, t(`keys_${context}`)), h("dl", {}, ...Object.entries(texts).flatMap(([text, names]) => [h("dt", {}, ...names.map((each, i) => h("kbd", {}, i ? each.replace("Shift+", "") : each))), h("dd", {}, t(text))]))),
			),
		);
		dialog.showModal();
	}
	on(byId("show-keys"), "click", showKeys);
	keys.push({ key: "?", context: "all", text: "key_keys", run: showKeys });
}
