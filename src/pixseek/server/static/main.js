// Starts the page: takes over the document that the server sent, and wires the parts.

import * as api from "./api.js";
import { createBox } from "./box.js";
import { byId, h } from "./dom.js";
import { createGrid } from "./grid.js";
import { keys } from "./keys.js";
import { search } from "./results.js";
import { History } from "./state.js";
import { start, t } from "./texts.js";

const app = {
  start,
  api,
  t,
  keys,
  state: new History(),
  events: new EventTarget(),
  /** @type {import("./results.js").List|null} */
  list: null,
  /** @type {((tile: HTMLElement, i: number, record?: any) => void)[]} called for each tile that is made or shown */
  decorations: [],
  /** @type {any} */ box: null,
  /** @type {any} */ grid: null,

  /** @param {string} name @param {any} [detail] */
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
    try {
      app.list = await search(app.state.now);
      notes(app.list.warnings);
      app.emit("list", { at });
    } catch (error) {
      problem(/** @type {any} */ (error));
    }
  },
};

/** @param {string[]} warnings */
function notes(warnings) {
  const list = app.list;
  const empty = !start.count ? "library_empty" : !list?.length ? "nothing_found" : "";
  byId("notes").replaceChildren(
    ...warnings.map((each) => h("p", { class: "note" }, each)),
    ...(empty ? [h("div", { class: "empty" }, h("h2", {}, t(empty)), h("p", {}, t(`${empty}_hint`)))] : []),
  );
  if (!list) return;
  byId("count").textContent = list.isRanked ? t("found", { strong: list.strong, likely: list.likely - list.strong }) : t("images", { n: list.total });
  document.body.classList.toggle("dated", list.isDated);
}

/** @param {import("./api.js").Problem} error */
function problem(error) {
  const head = error.subject ? `${error.problem}: ${error.subject}` : error.problem;
  byId("notes").replaceChildren(
    h("p", { class: "error", role: "alert" }, h("strong", {}, head || t("server_away")), ` ${error.advice}`),
  );
}

const SEARCH = ["q", "sort", "library", "dates", "example", "strength"];

app.state.addEventListener("change", (/** @type {any} */ event) => {
  const { before, isBack } = event.detail;
  const now = app.state.now;
  if (SEARCH.some((name) => before[name] !== now[name])) app.load(isBack && app.state.kept.at);
});

app.box = createBox(app);
app.grid = createGrid(app);
app.load(app.state.kept.at);
