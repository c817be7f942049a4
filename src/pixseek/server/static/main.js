// Starts the page: takes over the document that the server sent, and wires the parts.

import * as api from "./api.js";
import { createBox } from "./box.js";
import { createChips } from "./chips.js";
import { byId, debounced, h } from "./dom.js";
import { createFacets } from "./facets.js";
import { createGrid } from "./grid.js";
import { keys } from "./keys.js";
import { search } from "./results.js";
import { createSelection } from "./selection.js";
import { History, base, read } from "./state.js";
import { start, t } from "./texts.js";
import { createTimeline } from "./timeline.js";
import { toast } from "./toast.js";
import { createView } from "./view.js";
import { createViewer } from "./viewer.js";
import "./status.js";

const app = {
  start,
  api,
  t,
  keys,
  state: new History(),
  events: new EventTarget(),
  /** @type {import("./results.js").List|null} */
  list: null,
  /** The parts of the query, see chips.js. */
  parts: [],
  /** @type {((tile: HTMLElement, i: number, record?: any) => void)[]} called for each tile that is made or shown */
  decorations: [],

  emit(name, detail) {
    app.events.dispatchEvent(new CustomEvent(name, { detail }));
  },

  /** Open an image of the list. @param {string} id @param {any} [options] */
  open(id, options) {
    app.state.go({ image: id }, options);
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
    try {
      // What looks for nothing is shown by date, as all images are.
      const isRanked = await app.chips.load();
      const sort = app.state.now.sort || (isRanked ? "" : "newest");
      app.list = await search({ ...app.state.now, sort });
      app.list.isRanked = isRanked && !sort;
      notes(app.list.warnings);
      app.isLoading = false;
      app.emit("list", { at });
    } catch (error) {
      app.problem(error);
    }
    byId("grid").ariaBusy = "false";
  },

  say: toast,

  /** Say what went wrong: at the box if it is the query, else in passing. @param {api.Problem} error */
  problem(error) {
    if (app.isLoading && error.status && error.status < 500) {
      app.grid.clear();
      byId("notes").replaceChildren(h("p", { class: "error", role: "alert" }, h("strong", {}, [error.problem, error.subject].filter(Boolean).join(": ")), ` ${error.advice}`));
      return;
    }
    const text = error.status ? [error.problem, error.subject].filter(Boolean).join(": ") : t("server_away");
    app.say([text, error.advice].filter(Boolean).join(". "), { wrong: true, action: t("again"), run: () => app.load() });
  },
};

function notes(warnings) {
  const { list } = app;
  const empty = !list.total && !app.state.now.q && !app.state.now.example ? "library_empty" : !list.length ? "nothing_found" : "";
  byId("notes").replaceChildren(
    ...(empty === "library_empty" ? [] : warnings.map((each) => h("p", { class: "note" }, each))),
    ...(empty ? [h("div", { class: "empty" }, h("h2", {}, t(empty)), h("p", {}, t(`${empty}_hint`)))] : []),
  );
  byId("count").textContent = list.isRanked ? t("found", { strong: list.strong, likely: list.likely - list.strong }) : t("images", { n: list.total });
  document.querySelector("h1").textContent = app.state.now.q || t("all_images");
  document.body.classList.toggle("dated", list.isDated);
}

const SEARCH = ["q", "sort", "library", "dates", "example", "weight", "strength"];

app.state.addEventListener("change", ({ detail: { before, isBack } }) => {
  if (SEARCH.some((name) => before[name] !== app.state.now[name])) app.load(isBack && app.state.kept.at);
});

// Links of the document that lead to a search of this page need no new document.
addEventListener("click", (event) => {
  const link = event.target.closest?.("a");
  if (!link || event.defaultPrevented || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  const { origin, pathname } = new URL(link.href);
  if (link.closest("#bar, .brand") && origin === base.origin && pathname === base.pathname) {
    event.preventDefault();
    app.state.go({ ...read(link), image: "" });
  }
});

// A line under the header while an answer is awaited, but not for one that comes at once.
const wait = debounced((waits) => document.body.classList.toggle("waiting", waits), 250);
api.onWaiting.push((waits) => (waits ? wait(true) : (document.body.classList.remove("waiting"), wait(false))));

document.body.append(h("div", { id: "drop", "aria-hidden": "true" }, t("drop_here")));
app.box = createBox(app);
app.chips = createChips(app);
app.grid = createGrid(app);
app.facets = createFacets(app);
app.timeline = createTimeline(app);
app.view = createView(app);
app.selection = createSelection(app);
app.viewer = createViewer(app);
app.load(app.state.kept.at);
