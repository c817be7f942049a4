// How many others an image stands for, if one of each value is shown: a link to all of them.

import { get } from "./api.js";
import { h } from "./dom.js";
import { addressOf, ofLibrary } from "./state.js";
import { number, t } from "./texts.js";

/** Images asked for together. */
const BATCH = 100;
let waiting = [];

/** Say on a thumbnail what it stands for. */
export function badge(app, tile, id) {
	if (tile.querySelector(".others")) return;
	if (!waiting.length) queueMicrotask(() => ask(app));
	waiting.push([tile, id]);
}

async function ask(app) {
	const { now } = app.state;
	const { q, dates, group_by } = now;
	while (waiting.length) {
		const some = waiting.splice(0, BATCH);
		const ids = some.map(([, id]) => id).join(",");
		const { groups } = await get("groups", { ids, q, dates, group_by, ...ofLibrary(now) }, { quiet: true }).catch(() => ({ groups: [] }));
		if (app.state.now.group_by !== group_by) return;
		some.forEach(([tile], n) => {
			const { group = null, others, group_filter } = groups[n] || {};
			if (group === null || tile.querySelector(".others")) return;
			const href = addressOf({ ...now, image: "", facets: "", group_by: "", q: `${q} ${group_filter}`.trim() });
			const title = others ? t("group_more", { n: others }) : "";
			tile.append(h("a", { class: "others", href, title }, h("bdi", {}, String(group)), others > 0 && h("span", {}, `+${number(others)}`)));
		});
	}
}
