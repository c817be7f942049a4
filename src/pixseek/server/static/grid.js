// Justified rows of which only those near the window are in the document.
//
// The server lays the first rows out by flexbox (style.css); `rowsOf` computes the same rows.

import { preview } from "./api.js";
import { byId, debounced, h, icon, on } from "./dom.js";
import { altOf } from "./facts.js";
import { keys } from "./keys.js";
import { addressOf } from "./state.js";
import { t } from "./texts.js";
import { placeholder } from "./thumbhash.js";

/** How much taller than its target a row may get; and the height of a heading. */
const TALLEST = 2;
const HEADING = 44;
/** Screens above and below the window that are in the document. */
const AHEAD = 0.8;
/** Pixels a millisecond above which pictures are not asked for: nobody sees them. */
const TOO_FAST = 6;

/** The least width of a month, and what is between two in one row; the same as in style.css. */
const LEAST = 132;
const BETWEEN = 24;

/**
 * @typedef {{title: string, key: string, x: number, wide: number, href?: string}} Title
 * @typedef {{top: number, height: number, first: number, count: number, titles?: Title[], starts?: Record<number, number>}} Row
 * starts: left edges of the first images of months that are not the first of their row
 */

/** The ratio that is shown: what is narrower or wider is cut, as in page.py. */
const ratioOf = (list, i) => Math.min(3, Math.max(0.4, list.aspect(i)));

/** @returns {{rows: Row[], height: number}} @param {number} target height of rows at least */
export function rowsOf(list, width, target, gap) {
	const rows = [];
	let top = 0;
	let i = 0;
	let x = 0; // where another month may begin beside the one before
	const add = (row) => (rows.push({ top, ...row }), (top += row.height + gap));
	for (const { title, key, count } of list.sections) {
		const end = i + count;
		let wide = -gap;
		for (let n = i; n < end && wide <= width; n++) wide += ratioOf(list, n) * target + gap;
		wide = Math.max(LEAST, wide);
		// Months of few images share a row.
		const isShort = list.isDated && wide <= width;
		if (isShort && x && x + wide <= width + 0.02) {
			const row = rows.at(-1);
			rows.at(-2).titles.push({ title, key, x, wide });
			row.starts[i] = x;
			row.count += count;
			i = end;
		} else {
			x = 0;
			if (title) add({ height: HEADING, first: i, count: 0, titles: [{ title, key, x, wide: isShort ? wide : width }] });
		}
		x += isShort ? wide + BETWEEN : 0;
		while (i < end) {
			const first = i;
			let sum = 0;
			for (; i < end; i++) {
				const ratio = ratioOf(list, i);
				if (i > first && (sum + ratio) * target + (i - first) * gap > width + 0.02) break;
				sum += ratio;
			}
			const full = (width - (i - first - 1) * gap) / sum;
			add({ height: Math.min(full, i < end ? target * TALLEST : target), first, count: i - first, starts: {} });
		}
	}
	for (const each of list.beyond) add({ height: HEADING, first: i, count: 0, titles: [{ ...each, x: 0, wide: width }] });
	return { rows, height: Math.max(0, top - gap) };
}

export function createGrid(app) {
	const grid = byId("grid");
	const tiles = new Map(); // by place
	const headings = new Map(); // by title
	const laid = new Map(); // what the server laid out, by id, until it is taken over
	let rows = [];
	let width = 0;
	let gap = 0;
	let target = 0;
	let current = 0;
	let before = { y: 0, at: 0 };
	let frame = 0;

	const link = (tile) => tile.querySelector("a");
	const image = (tile) => tile.querySelector("img");
	const gridTop = () => grid.getBoundingClientRect().top + scrollY;
	const later = () => (frame ||= requestAnimationFrame(render));

	/** The first and the last row within a number of screens of the window. */
	function near(screens) {
		const y = scrollY - gridTop();
		return [lastRow("top", y - innerHeight * screens), lastRow("top", y + innerHeight * (1 + screens))];
	}

	/** The last row whose `name` is at most a value. */
	function lastRow(name, value) {
		let low = 0;
		let high = rows.length - 1;
		while (low < high) {
			const middle = (low + high + 1) >> 1;
			if (rows[middle][name] <= value) low = middle;
			else high = middle - 1;
		}
		return low;
	}
	const rowOf = (i) => lastRow("first", i);
	const top = (i) => rows[rowOf(i)].top + gridTop();

	/** The images of a row: place, left edge, width. */
	function* spots({ first, count, height, starts }) {
		for (let i = first, x = 0; i < first + count; i++) {
			x = starts[i] ?? x;
			const wide = ratioOf(app.list, i) * height;
			yield [i, x, wide];
			x += wide + gap;
		}
	}

	/** The first image in view, and how far below the window's top it begins. */
	function position() {
		const y = scrollY - gridTop();
		const r = lastRow("top", y);
		const row = y > 0 && [rows[r], rows[r + 1], rows.findLast((each) => each.count)].find((each) => each?.count);
		return row ? { i: row.first, from: row.top - y } : null;
	}

	function relayout() {
		if (!app.list) return;
		const kept = position();
		const style = getComputedStyle(grid);
		width = grid.getBoundingClientRect().width;
		gap = parseFloat(style.rowGap);
		target = parseFloat(style.getPropertyValue("--row"));
		const laidOut = rowsOf(app.list, width, target, gap);
		rows = laidOut.rows;
		grid.style.height = `${laidOut.height}px`;
		drop(headings);
		if (kept) scrollTo(0, top(kept.i) - kept.from);
		render(true);
		app.emit("layout");
	}

	/** Take elements out of the document. */
	function drop(some, keep = () => false) {
		for (const [key, each] of some)
			if (!keep(key, each)) {
				each.remove();
				some.delete(key);
			}
	}

	function render(moved) {
		frame = 0;
		const { list } = app;
		if (!list || !rows.length) return;
		const at = performance.now();
		const speed = Math.abs(scrollY - before.y) / (at - before.at);
		before = { y: scrollY, at };
		const [from, to] = near(AHEAD);
		const last = rows[to].first + rows[to].count;
		drop(tiles, (i, tile) => (i >= rows[from].first && i < last) || tile.contains(document.activeElement));
		const titles = new Set(rows.slice(from, to + 1).flatMap((row) => row.titles || []));
		drop(headings, (title) => titles.has(title));
		// What is read and reached by Tab is in the order that is seen. An image that has the focus stays where it is.
		let next = grid.firstElementChild;
		if (next?.dataset.i < rows[from].first) next = next.nextElementSibling;
		const put = (each) => (each === next ? (next = next.nextElementSibling) : grid.insertBefore(each, next));
		for (let r = from; r <= to; r++) {
			const row = rows[r];
			for (const title of row.titles || []) {
				if (!headings.has(title)) {
					const made = h("li", { class: "month" }, h("h2", {}, title.href ? h("a", { href: title.href }, title.title) : title.title));
					Object.assign(made.style, { transform: `translate(${title.x}px, ${row.top}px)`, width: `${title.wide}px` });
					headings.set(title, made);
				}
				put(headings.get(title));
			}
			for (const [i, x, wide] of spots(row)) {
				const known = tiles.get(i);
				const tile = known || laid.get(list.id(i)) || made(list.id(i));
				if (!known || moved === true) Object.assign(tile.style, { transform: `translate(${x}px, ${row.top}px)`, width: `${wide}px`, height: `${row.height}px` });
				put(tile);
				if (known) continue;
				tiles.set(i, tile);
				tile.dataset.i = i;
				tile.ariaPosInSet = i + 1;
				tile.ariaSetSize = list.length;
				link(tile).tabIndex = i === current ? 0 : -1;
				app.decorate(tile);
			}
		}
		if (speed < TOO_FAST) fill();
		else filling();
	}
	const filling = debounced(() => render(), 90);

	const made = (id) => h("li", { class: "tile", "data-id": id }, h("a", { href: addressOf({ ...app.state.now, facets: "", image: id }), "aria-label": t("photo_named", { name: "…" }) }, h("img", { alt: "", decoding: "async" })));

	/** Ask for the pictures of tiles that have none yet; until one scrolls, for none ahead. */
	function fill() {
		const [from, to] = near(scrollY ? AHEAD : 0);
		const last = rows[to].first + rows[to].count;
		for (const [i, tile] of tiles)
			if (i >= rows[from].first && i < last && !image(tile).hasAttribute("src") && !tile.dataset.asked) {
				tile.dataset.asked = "1";
				show(tile, i);
			}
	}

	async function show(tile, i) {
		const { list } = app;
		const record = await list.record(i);
		if (app.list !== list) return;
		const img = image(tile);
		img.parentElement.ariaLabel = img.alt = altOf(record); // an image that is broken has no name
		if (!img.hasAttribute("src")) paint(tile, record.placeholder);
		watch(tile, img);
		// A smaller picture is sharp enough if it is shown so small.
		const side = Math.max(...["width", "height"].map((each) => parseFloat(tile.style[each]))) * devicePixelRatio;
		img.src = preview(record, app.state.now.library, [192, 256].find((each) => side < each * 1.05), record.duration_s && list.parts[i]);
		if (app.state.now.group_by) app.group(tile, record.id);
		if (record.duration_s) app.film("badge", link(tile), record);
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

	for (const tile of grid.querySelectorAll(".tile")) {
		const img = image(tile);
		laid.set(tile.dataset.id, tile);
		watch(tile, img);
		if (!img.complete) paint(tile, tile.dataset.thumb);
		else if (!img.naturalWidth) img.onerror();
	}

	const remember = debounced(() => {
		const kept = position();
		if (!app.isLoading && !app.state.now.image) app.state.keep({ at: kept && { id: app.list.id(kept.i), from: kept.from } });
	}, 150);
	on(window, "scroll", () => (later(), remember()), { passive: true });
	new ResizeObserver(() => (Math.abs(grid.getBoundingClientRect().width - width) > 0.5 ? relayout() : later())).observe(document.body);

	on(app.events, "list", ({ detail: at }) => {
		const isFirst = !grid.classList.contains("placed");
		const held = grid.contains(document.activeElement);
		clear();
		grid.classList.add("placed");
		current = 0;
		if (!at && !isFirst) scrollTo(0, 0);
		relayout();
		laid.clear();
		const i = at ? app.list.indexOf(at.id) : -1;
		if (i >= 0) {
			scrollTo(0, top(i) - at.from);
			render();
		}
		if (held) rows.length ? focus(Math.max(0, i)) : byId("main").focus();
	});

	function clear() {
		tiles.clear();
		headings.clear();
		grid.replaceChildren();
		// Other results are not the old ones that moved.
		grid.replaceWith(grid);
		rows = [];
		grid.style.height = "0";
	}

	// ------------------------------------------------------------ by pointer and keyboard

	on(grid, "click", (event) => {
		const tile = event.target.closest(".tile");
		if (!tile || event.target.closest(".others") || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
		event.preventDefault();
		app.open(tile.dataset.id);
	});
	on(grid, "focusin", (event) => setCurrent(Number(event.target.closest(".tile")?.dataset.i || current)));

	/** Tab comes back to this image. */
	function setCurrent(i) {
		for (const [place, tabIndex] of [[current, -1], [i, 0]]) if (tiles.has(place)) link(tiles.get(place)).tabIndex = tabIndex;
		current = i;
	}

	/** Move to an image: into view, and the focus with it. @param {number} i */
	function focus(i, { focus: takes = true } = {}) {
		if (!rows.length) return;
		i = Math.max(0, Math.min(app.list.length - 1, i));
		const { height } = rows[rowOf(i)];
		const y = top(i);
		const [above, below] = ["header", "selection"].map((each) => byId(each).offsetHeight + 8);
		scrollTo(0, Math.min(y - above, Math.max(scrollY, y + height - innerHeight + below + (below > 8) * 14)));
		render();
		setCurrent(i);
		if (takes && tiles.has(i)) link(tiles.get(i)).focus({ preventScroll: true });
	}

	/** The image in the next or previous row that is nearest. */
	function vertical(step) {
		let r = rowOf(current) + step;
		while (rows[r]?.count === 0) r += step;
		if (!rows[r]) return current;
		const [, x, wide] = [...spots(rows[rowOf(current)])].find(([i]) => i === current);
		const row = [...spots(rows[r])];
		return (row.find((each) => x + wide / 2 < each[1] + each[2]) || row.pop())[0];
	}

	const hasFocus = () => grid.contains(document.activeElement);
	for (const [key, text, to] of [
		["ArrowLeft", "key_previous", () => current - 1],
		["ArrowRight", "key_next", () => current + 1],
		["ArrowUp", "key_up", () => vertical(-1)],
		["ArrowDown", "key_down", () => vertical(1)],
		["Home", "key_first", () => 0],
		["End", "key_last", () => app.list.length - 1],
	])
		keys.push({ key, context: "grid", text, run: () => (hasFocus() ? focus(to()) : key[5] ? focus(current) : false) });

	return {
		focus,
		relayout,
		clear,
		position,
		top,
		get current() {
			return current;
		},
		get rows() {
			return rows;
		},
		/** The tile of an image if it is in the document. @returns {HTMLElement|undefined} */
		tileOf: (id) => tiles.get(app.list?.indexOf(id)),
		tiles: () => tiles.entries(),
		/** Show again what is known of images. @param {string[]} ids */
		refresh(ids) {
			for (const i of ids.map((id) => app.list?.indexOf(id))) if (tiles.has(i)) show(tiles.get(i), i);
		},
	};
}
