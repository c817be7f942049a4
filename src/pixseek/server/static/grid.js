// Justified rows of which only those near the window are in the document.
//
// The server lays the first rows out by flexbox (style.css); `rowsOf` computes the same rows.

import { preview } from "./api.js";
import { byId, debounced, h, icon } from "./dom.js";
import { keys } from "./keys.js";
import { addressOf } from "./state.js";
import { t } from "./texts.js";
import { placeholder } from "./thumbhash.js";

/** The narrowest and widest ratio shown whole, as in page.py; and how much taller a row may get. */
const NARROWEST = 0.4;
const WIDEST = 3;
const TALLEST = 2;
const HEADING = 44;

/** Screens above and below the window that are in the document. */
const AHEAD = 0.8;
/** Pixels a millisecond above which pictures are not asked for: nobody sees them. */
const TOO_FAST = 6;

/** @typedef {{top: number, height: number, first: number, count: number, title?: string, key?: string}} Row */

/** @param {number} ratio */
const bounded = (ratio) => Math.min(WIDEST, Math.max(NARROWEST, ratio));

/**
 * Lay out a list.
 * @param {import("./results.js").List} list @param {number} width of the grid
 * @param {number} target height of rows at least @param {number} gap
 * @returns {{rows: Row[], height: number}}
 */
export function rowsOf(list, width, target, gap) {
  /** @type {Row[]} */
  const rows = [];
  let top = 0;
  let i = 0;
  for (const section of list.sections) {
    if (section.title) {
      rows.push({ top, height: HEADING, first: i, count: 0, title: section.title, key: section.key });
      top += HEADING + gap;
    }
    const end = i + section.count;
    while (i < end) {
      const first = i;
      let sum = 0;
      while (i < end) {
        const ratio = bounded(list.aspect(i));
        if (i > first && (sum + ratio) * target + (i - first) * gap > width + 0.02) break;
        sum += ratio;
        i++;
      }
      const full = (width - (i - first - 1) * gap) / sum;
      const height = Math.min(full, i < end ? target * TALLEST : target);
      rows.push({ top, height, first, count: i - first });
      top += height + gap;
    }
  }
  return { rows, height: Math.max(0, top - gap) };
}

/** The last row that begins at or above a height. @param {Row[]} rows @param {number} y */
function rowAt(rows, y) {
  let low = 0;
  let high = rows.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (rows[middle].top <= y) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** @param {HTMLElement} tile @returns {HTMLAnchorElement} */
const link = (tile) => (tile.querySelector("a"));

/** @param {any} app */
export function createGrid(app) {
  const grid = byId("grid");
  /** @type {Row[]} */
  let rows = [];
  /** @type {Map<number, HTMLElement>} tiles by place */
  const tiles = new Map();
  /** @type {Map<number, HTMLElement>} headings by row */
  const headings = new Map();
  /** @type {Map<string, HTMLElement>} what the server has laid out, until it is taken over */
  const laid = new Map();
  let width = 0;
  let current = 0;
  let before = { y: scrollY, at: 0 };
  let frame = 0;
  /** @type {(() => void)|null} a place to come back to when the list is there */
  let restoring = null;

  for (const tile of grid.querySelectorAll(".tile")) {
    laid.set(tile.dataset.id, tile);
    const img = tile.querySelector("img");
    watch(tile, img);
    if (!img.complete) paint(tile, tile.dataset.thumb);
    else if (!img.naturalWidth) img.onerror();
  }

  const style = () => getComputedStyle(grid);
  const gridTop = () => grid.getBoundingClientRect().top + scrollY;

  function relayout() {
    const list = app.list;
    if (!list) return;
    const kept = position();
    width = grid.getBoundingClientRect().width;
    const target = parseFloat(style().getPropertyValue("--row"));
    const gap = parseFloat(style().columnGap) || 0;
    const laidOut = rowsOf(list, width, target, gap);
    rows = laidOut.rows;
    for (const each of headings.values()) each.remove();
    headings.clear();
    for (const [i, tile] of tiles) place(tile, i);
    grid.style.height = `${laidOut.height}px`;
    if (kept) scrollTo(0, top(kept.i) - kept.from);
    render();
    app.emit("layout");
  }

  /** The first image in view, and how far below the window's top it begins. */
  function position() {
    if (!rows.length) return null;
    const y = scrollY - gridTop();
    if (y <= 0) return null;
    const row = rows[rowAt(rows, y)];
    return { i: row.first, from: row.top - y };
  }

  const top = (i) => rows[rowOf(i)].top + gridTop();

  /** The row of an image. @param {number} i */
  function rowOf(i) {
    let low = 0;
    let high = rows.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (rows[middle].first <= i) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  function place(tile, i) {
    const row = rows[rowOf(i)];
    let x = 0;
    const gap = parseFloat(style().columnGap) || 0;
    for (let each = row.first; each < i; each++) x += bounded(app.list.aspect(each)) * row.height + gap;
    put(tile, x, row, bounded(app.list.aspect(i)) * row.height);
  }

  function put(tile, x, row, wide) {
    tile.style.transform = `translate(${x}px, ${row.top}px)`;
    tile.style.width = `${wide}px`;
    tile.style.height = `${row.height}px`;
  }

  function render() {
    frame = 0;
    const list = app.list;
    if (!list || !rows.length) return;
    const now = performance.now();
    const speed = Math.abs(scrollY - before.y) / Math.max(1, now - before.at);
    before = { y: scrollY, at: now };
    const y = scrollY - gridTop();
    const ahead = innerHeight * AHEAD;
    const from = rowAt(rows, y - ahead);
    const to = rowAt(rows, y + innerHeight + ahead);
    const first = rows[from].first;
    const last = rows[to].first + rows[to].count;
    for (const [i, tile] of tiles)
      if ((i < first || i >= last) && !tile.contains(document.activeElement)) {
        tile.remove();
        tiles.delete(i);
      }
    for (const [r, heading] of headings)
      if (r < from || r > to) {
        heading.remove();
        headings.delete(r);
      }
    const gap = parseFloat(style().columnGap) || 0;
    for (let r = from; r <= to; r++) {
      const row = rows[r];
      if (row.title && !headings.has(r)) {
        const heading = h("li", { class: "month" }, h("h2", {}, row.title));
        heading.style.transform = `translate(0, ${row.top}px)`;
        headings.set(r, heading);
        grid.append(heading);
      }
      let x = 0;
      for (let i = row.first; i < row.first + row.count; i++) {
        const wide = bounded(list.aspect(i)) * row.height;
        if (!tiles.has(i)) {
          const tile = laid.get(list.id(i)) || made(list.id(i));
          tiles.set(i, tile);
          put(tile, x, row, wide);
          tile.dataset.i = String(i);
          tile.setAttribute("aria-posinset", String(i + 1));
          tile.setAttribute("aria-setsize", String(list.length));
          link(tile).tabIndex = i === current ? 0 : -1;
          if (tile.parentNode !== grid) grid.append(tile);
          for (const decorate of app.decorations) decorate(tile, i);
        }
        x += wide + gap;
      }
    }
    laid.clear();
    if (speed < TOO_FAST) fill();
    else filling();
  }

  function made(id) {
    const to = addressOf({ ...app.state.now, facets: "", image: id });
    return h("li", { class: "tile", "data-id": id }, h("a", { href: to }, h("img", { alt: "", decoding: "async" })));
  }

  /** Ask for the pictures of tiles that have none yet. */
  function fill() {
    const { list } = app;
    for (const [i, tile] of tiles) {
      const img = (tile.querySelector("img"));
      if (img.hasAttribute("src") || tile.dataset.asked) continue;
      tile.dataset.asked = "1";
      list.record(i).then((record) => {
        if (app.list === list) show(tile, img, record);
      });
    }
  }
  const filling = debounced(() => render(), 90);

  function show(tile, img, record) {
    img.alt = record.caption || t("photo_named", { name: (record.uri || record.id).split("/").pop() });
    if (!img.hasAttribute("src")) paint(tile, record.placeholder);
    watch(tile, img);
    img.src = preview(record, app.state.now.library);
    for (const decorate of app.decorations) decorate(tile, Number(tile.dataset.i), record);
  }

  /** Show the placeholder until the picture is there. */
  function paint(tile, hash) {
    const canvas = hash && placeholder(hash);
    if (canvas) link(tile).prepend(canvas);
  }

  function watch(tile, img) {
    let tries = 0;
    img.onload = () => {
      tile.querySelector("canvas")?.remove();
      tile.classList.remove("broken");
    };
    img.onerror = () => {
      // The server may be busy, or say that too many are asked for.
      if (tries++ < 3) setTimeout(() => tile.isConnected && (img.src = img.src), 800 * tries);
      else if (!tile.classList.contains("broken")) {
        tile.classList.add("broken");
        link(tile).append(icon("image"));
      }
    };
  }

  const remember = debounced(() => {
    const kept = position();
    if (app.list && !app.isLoading && !app.state.now.image) app.state.keep({ at: kept && { id: app.list.id(kept.i), from: kept.from } });
  }, 150);

  addEventListener("scroll", () => {
    if (!frame) frame = requestAnimationFrame(render);
    remember();
  }, { passive: true });
  new ResizeObserver(() => {
    if (Math.abs(grid.getBoundingClientRect().width - width) > 0.5) relayout();
    else if (!frame) frame = requestAnimationFrame(render);
  }).observe(document.body);

  app.events.addEventListener("list", (event) => {
    const isFirst = !grid.classList.contains("placed");
    for (const [, tile] of tiles) tile.remove();
    tiles.clear();
    rows = [];
    if (!isFirst) laid.clear();
    for (const each of [...grid.children]) if (!laid.has((each).dataset.id)) each.remove();
    grid.classList.add("placed");
    current = 0;
    const { at } = event.detail || {};
    if (!at && !isFirst) scrollTo(0, 0);
    relayout();
    for (const each of [...grid.querySelectorAll(".tile:not([data-i])")]) each.remove();
    const i = at ? app.list.indexOf(at.id) : -1;
    if (i >= 0) {
      scrollTo(0, top(i) - at.from);
      render();
    }
  });

  // ------------------------------------------------------------ by pointer and keyboard

  grid.addEventListener("click", (event) => {
    const tile = (event.target).closest(".tile");
    if (!tile || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    app.open((tile).dataset.id);
  });
  grid.addEventListener("focusin", (event) => {
    const tile = ((event.target).closest(".tile"));
    if (tile?.dataset.i) setCurrent(Number(tile.dataset.i));
  });

  function setCurrent(i) {
    const old = tiles.get(current);
    if (old) link(old).tabIndex = -1;
    current = i;
    const tile = tiles.get(i);
    if (tile) link(tile).tabIndex = 0;
  }

  /** Move to an image: into view, and the focus with it. @param {number} i */
  function focus(i, { focus: takes = true } = {}) {
    if (!app.list?.length || !rows.length) return;
    i = Math.max(0, Math.min(app.list.length - 1, i));
    const row = rows[rowOf(i)];
    const header = byId("header").offsetHeight + 8;
    const y = gridTop() + row.top;
    if (y < scrollY + header) scrollTo(0, y - header);
    else if (y + row.height > scrollY + innerHeight) scrollTo(0, y + row.height - innerHeight + 8);
    render();
    setCurrent(i);
    const tile = tiles.get(i);
    if (takes && tile) link(tile).focus({ preventScroll: true });
  }

  /** The image in the next or previous row that is nearest. @param {number} step */
  function vertical(step) {
    let r = rowOf(current) + step;
    while (rows[r] && !rows[r].count) r += step;
    const row = rows[r];
    if (!row) return current;
    const here = tiles.get(current)?.getBoundingClientRect();
    const x = here ? here.left + here.width / 2 - grid.getBoundingClientRect().left : 0;
    let at = 0;
    for (let i = row.first; i < row.first + row.count; i++) {
      const wide = bounded(app.list.aspect(i)) * row.height;
      if (x < at + wide || i === row.first + row.count - 1) return i;
      at += wide;
    }
    return row.first;
  }

  const hasFocus = () => grid.contains(document.activeElement);
  /** @param {string} key @param {() => number} to @param {string} text */
  const move = (key, to, text) =>
    keys.push({ key, context: "grid", text, run: () => (hasFocus() || key.startsWith("Arrow") ? focus(hasFocus() ? to() : current) : false) });
  move("ArrowLeft", () => current - 1, "key_previous");
  move("ArrowRight", () => current + 1, "key_next");
  move("ArrowUp", () => vertical(-1), "key_up");
  move("ArrowDown", () => vertical(1), "key_down");
  move("Home", () => 0, "key_first");
  move("End", () => app.list.length - 1, "key_last");

  return {
    focus,
    clear() {
      for (const each of [...tiles.values(), ...headings.values()]) each.remove();
      tiles.clear();
      headings.clear();
      rows = [];
      grid.style.height = "0";
    },
    relayout,
    render,
    top,
    get current() {
      return current;
    },
    get rows() {
      return rows;
    },
    position,
    /** The tile of an image if it is in the document. @param {string} id @returns {HTMLElement|null} */
    tileOf: (id) => tiles.get(app.list?.indexOf(id) ?? -1) || null,
    tiles: () => tiles.entries(),
    /** Show again what is known of images. @param {string[]} ids */
    refresh(ids) {
      for (const id of ids) {
        const i = app.list.indexOf(id);
        const tile = tiles.get(i);
        if (tile) app.list.record(i).then((record) => show(tile, (tile.querySelector("img")), record));
      }
    },
  };
}
