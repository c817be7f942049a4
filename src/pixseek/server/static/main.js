// Starts the page: takes over the document that the server sent, and wires the parts.

import { createBox } from "./box.js";
import { createChips } from "./chips.js";
import { byId, h, on } from "./dom.js";
import { createFacets } from "./facets.js";
import { createGrid } from "./grid.js";
import { search } from "./results.js";
import { createSelection } from "./selection.js";
import { History, SEARCH, mayWrite, read } from "./state.js";
import { t, told } from "./texts.js";
import { createTimeline } from "./timeline.js";
import { toast } from "./toast.js";
import { createView } from "./view.js";
import { createViewer } from "./viewer.js";
import "./status.js";

const app = {
	state: new History(),
	events: new EventTarget(),
	/** @type {import("./results.js").List|null} */
	list: null,
	say: toast,

	emit(name, detail) {
		app.events.dispatchEvent(new CustomEvent(name, { detail }));
	},

	/** Open an image of the list. */
	open(image, how) {
		app.state.go({ image }, how);
	},

	/** Search for something else than now. @param {string} q */
	seek(q) {
		app.state.go({ q, image: "", sort: "", example: "" });
	},

	/** Ask again for what is known of images that changed. @param {string[]} ids */
	refresh(ids) {
		app.list?.forget(ids);
		app.grid.refresh(ids);
		app.emit("changed", ids);
	},

	/** Search again as the state says. @param {any} [at] the place to come back to */
	async load(at) {
		app.isLoading = true;
		byId("grid").ariaBusy = "true";
		// What looks for nothing is shown by date, as all images are.
		const isRanked = await app.chips.load();
		const sort = app.state.now.sort || (isRanked ? "" : "newest");
		const found = await search({ ...app.state.now, sort }).catch((error) => error);
		// What is said above the results changes together with them; all stays if no answer came.
		if (!(found.status === 0 || found.status >= 500)) {
			app.box.orders(isRanked);
			app.chips.show();
		}
		if (found instanceof Error) app.problem(found);
		else {
			app.list = found;
			notes(isRanked);
			app.isLoading = false;
			app.emit("list", at);
		}
		byId("grid").ariaBusy = "false";
	},

	group: (...given) => import("./groups.js").then(({ badge }) => badge(app, ...given)),
	film: (name, ...given) => import("./film.js").then((film) => film[name](app, ...given)),

	/** Say what went wrong: instead of results if it is the query, else in passing. @param {import("./api.js").Problem} error */
	problem(error) {
		const { status, advice } = error;
		if (!error.all) return console.error(error);
		if (app.isLoading && status && status < 500) {
			app.list = null;
			app.grid.clear();
			byId("count").textContent = "";
			document.body.classList.remove("dated");
			byId("notes").replaceChildren(h("p", { class: "error", role: "alert" }, h("strong", {}, ...error.head), " ", advice));
		} else app.say(error.all, { wrong: true, action: t("again"), run: app.isLoading && app.load });
	},
};

/** Say what was found, and what is odd about it. */
function notes(isRanked) {
	const { length, total, strong, likely, warnings, isDated } = app.list;
	const { q, example } = app.state.now;
	const isEmpty = !total && !q && !example;
	const empty = isEmpty ? "library_empty" : length ? "" : "nothing_found";
	byId("notes").replaceChildren(
		...(q || example ? warnings : []).map((each) => h("p", { class: "note" }, told(each))),
		empty && h("div", { class: "empty" }, h("h2", {}, t(empty)), h("p", {}, isEmpty && mayWrite ? h("a", { class: "button", href: `${byId("status").href}#add` }, t("library_empty_add")) : t(`${empty}_hint`))),
	);
	byId("count").textContent = isRanked ? t(likely ? "found" : "found_weak", { strong, likely: likely - strong }) : t("images", { n: total });
	document.querySelector("h1").textContent = q || t("all_images");
	document.body.classList.toggle("dated", isDated);
}

on(app.state, "change", ({ detail: { before, isBack } }) => {
	if (SEARCH.some((name) => before[name] !== app.state.now[name])) app.load(isBack && app.state.kept.at);
});

// Links to a search of this page need no new document.
on(window, "click", (event) => {
	const link = event.target.closest?.("#bar a, .brand, .month a, .others");
	if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
	event.preventDefault();
	app.state.go({ ...read(link), image: "" });
});

app.box = createBox(app);
app.chips = createChips(app);
app.grid = createGrid(app);
createFacets(app);
createTimeline(app);
createView(app);
app.selection = createSelection(app);
app.viewer = createViewer(app);
app.load(app.state.kept.at);
if (document.querySelector("[data-s]")) import("./film.js");
