// The scrubber at the side of images by date: years and months, to drag, to click and by keys.

import { byId, debounced, h, on } from "./dom.js";
import { monthName, t } from "./texts.js";

/** Pixels between the labels of two years at least. */
const APART = 18;

export function createTimeline(app) {
	const said = h("em");
	const thumb = h("i", {}, said);
	const years = h("div", { "aria-hidden": "true" });
	const track = h("div", { id: "timeline", role: "slider", tabindex: 0, "aria-orientation": "vertical", "aria-label": t("timeline"), "aria-valuemin": 0, hidden: true }, years, thumb);
	byId("main").append(track);
	const grid = byId("grid");
	let months = []; // titles of rows
	let now = 0;
	let end = 0; // height of what is listed
	let share = 1; // of the track

	const yearOf = (i) => months[i]?.key.slice(0, 4);
	const below = () => grid.getBoundingClientRect().top + scrollY - byId("header").offsetHeight;
	const whole = () => Math.max(1, document.documentElement.scrollHeight - innerHeight);

	function lay() {
		const { list, grid: { rows } } = app;
		months = list?.isDated ? rows.flatMap(({ titles = [], top }) => titles.map((each) => ({ ...each, top }))) : [];
		track.hidden = !months[1];
		if (track.hidden) return;
		track.ariaValueMax = months.length - 1;
		// Years that are not listed have room by what they hold.
		const more = months.filter(({ count }) => count);
		end = more[0] ? more[0].top : grid.offsetHeight;
		share = more[0] ? list.length / list.total : 1;
		let held = list.length;
		for (const each of months) {
			each.at = each.count ? held / list.total : (each.top / end) * share;
			held += each.count || 0;
		}
		const high = track.clientHeight;
		let last = -APART;
		years.replaceChildren();
		months.forEach(({ at }, i) => {
			const y = at * high;
			if (yearOf(i) === yearOf(i - 1) || y - last < APART || y > high - 8) return;
			last = y;
			years.append(h("span", {}, yearOf(i) || "–"));
			years.lastChild.style.top = `${y}px`;
		});
		follow();
	}

	/** Put the thumb where the window is. */
	function follow() {
		if (track.hidden) return;
		const y = scrollY - below() + 1;
		// Of months in one row the one that was chosen; so of rows that are too low to come to the top.
		const { top } = months.findLast((each) => each.top <= y) || months[0];
		const chosen = months[now]?.top;
		if (chosen !== top && !(chosen > top && scrollY >= whole() - 1)) now = months.findIndex((each) => each.top === top);
		const { at, count, title, key } = months[now];
		const listed = share < 1 ? end : whole();
		thumb.style.top = `${(count ? at : Math.min(1, scrollY / listed) * share) * 100}%`;
		track.ariaValueNow = now;
		track.ariaValueText = said.textContent = count ? title : monthName(key);
	}

	function go(i) {
		now = Math.max(0, Math.min(months.length - 1, i));
		scrollTo(0, months[now].top + below());
		follow();
	}

	const rest = debounced(() => track.classList.remove("moving"), 900);
	on(window, "scroll", () => (track.classList.add("moving"), rest(), follow()), { passive: true });

	on(track, "pointerdown pointermove", (event) => {
		if (event.type === "pointerdown") track.setPointerCapture(event.pointerId);
		if (!track.hasPointerCapture(event.pointerId)) return;
		const { top, height } = track.getBoundingClientRect();
		const to = (event.clientY - top) / height;
		if (to > share) go(months.findLastIndex(({ at }) => at <= to));
		else scrollTo(0, (to / share) * (share < 1 ? end : whole()));
	});

	/** The first month of another year. */
	function year(step) {
		let i = now;
		while (months[i] && yearOf(i) === yearOf(now)) i += step;
		return i;
	}
	on(track, "keydown", (event) => {
		const to = { ArrowUp: now - 1, ArrowDown: now + 1, PageUp: year(-1), PageDown: year(1), Home: 0, End: months.length - 1 }[event.key];
		if (to == null) return;
		event.preventDefault();
		go(to);
	});

	on(app.events, "layout", lay);
	on(window, "resize", debounced(lay, 100));
}
