// Counts of values among what was found; a click makes the search narrower, another takes it back.

import { quoted } from "./chips.js";
import { byId, h, on } from "./dom.js";
import { ask } from "./results.js";
import { number, start, t } from "./texts.js";

/** The filter that finds the images counted, as search.facets.filter_text. */
function filterOf(field, value) {
	if (field === "year" && value === "none") return "-has:date";
	const wild = /[*?]/.test(value);
	return `${field}:${field === "folder" ? (wild ? "^=" : "") : field === "camera" || wild ? "=" : ""}${quoted(value)}`;
}

/** A filter without what is optional in it, to compare it. */
const plain = (text) => text.replace(/["=^]/g, "").toLowerCase();

export function createFacets(app) {
	const panel = byId("facets");
	const toggle = byId("filters");
	const turn = () => app.state.go({ facets: app.state.now.facets ? "" : "1", image: "" }, { replace: true });
	toggle.role = "button";
	on(toggle, "click keydown", (event) => {
		if (event.key && event.key !== " ") return;
		event.preventDefault();
		turn();
	});

	async function show() {
		const { facets } = app.state.now;
		toggle.ariaExpanded = String(!!facets);
		if (panel.hidden === !!facets) {
			panel.hidden = !facets;
			app.grid.relayout();
		}
		if (!facets) return;
		const found = await ask("facets", app.state.now, {}, { key: "facets", quiet: true }).catch(() => ({}));
		const chosen = new Map(app.parts.map((part) => [plain(part.text), part.without]));
		const closed = [...panel.querySelectorAll("details:not([open])")].map((each) => each.dataset.field);
		const focused = document.activeElement?.dataset.filter;
		const some = Object.entries(found).filter(([, counts]) => Object.keys(counts)[0]);
		panel.replaceChildren(
			h("h2", {}, t("filters"), h("button", { type: "button", class: "tool", click: turn }, t("close"))),
			!some[0] && h("p", {}, t("facets_none")) || "",
			...some
				.map(([field, counts]) =>
					h("details", { open: !closed.includes(field), "data-field": field }, h("summary", {}, t(`facet_${field}`)), h("ul", {}, ...Object.entries(counts).map((each) => row(field, ...each, chosen)))),
				),
		);
		for (const each of panel.querySelectorAll("[data-filter]")) if (each.dataset.filter === focused) each.focus();
	}

	function row(field, value, n, chosen) {
		const filter = filterOf(field, value);
		const without = chosen.get(plain(filter));
		const click = () => app.state.go({ q: without ?? `${app.state.now.q} ${filter}`.trim(), image: "" });
		return h("li", {}, h("button", { type: "button", "aria-pressed": String(without != null), "data-filter": filter, click }, h("bdi", {}, start.texts.values[`${field} ${value}`] ?? value), h("span", {}, number(n))));
	}

	on(app.events, "parts", show);
	on(app.state, "change", ({ detail: { before } }) => before.facets !== app.state.now.facets && show());
}
