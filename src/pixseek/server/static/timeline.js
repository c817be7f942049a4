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
	let months = []; // rows with their headings
	let now = 0;

	const yearOf = (i) => months[i]?.key.slice(0, 4);
	const below = () => grid.getBoundingClientRect().top + scrollY - byId("header").offsetHeight;
	const whole = () => Math.max(1, document.documentElement.scrollHeight - innerHeight);

	function lay() {
		months = app.list?.isDated ? app.grid.rows.filter((row) => row.title) : [];
		track.hidden = !months[1];
		if (track.hidden) return;
		track.ariaValueMax = months.length - 1;
		const high = track.clientHeight;
		let last = -APART;
		years.replaceChildren();
		months.forEach((month, i) => {
			const y = (month.top / grid.offsetHeight) * high;
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
		now = Math.max(0, months.findLastIndex((each) => each.top <= y));
		thumb.style.top = `${Math.min(1, scrollY / whole()) * 100}%`;
		track.ariaValueNow = now;
		track.ariaValueText = said.textContent = monthName(months[now].key);
	}

	const rest = debounced(() => track.classList.remove("moving"), 900);
	on(window, "scroll", () => (track.classList.add("moving"), rest(), follow()), { passive: true });

	on(track, "pointerdown pointermove", (event) => {
		if (event.type === "pointerdown") track.setPointerCapture(event.pointerId);
		if (!track.hasPointerCapture(event.pointerId)) return;
		const { top, height } = track.getBoundingClientRect();
		scrollTo(0, ((event.clientY - top) / height) * whole());
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
		scrollTo(0, months[Math.max(0, Math.min(months.length - 1, to))].top + below());
		follow();
	});

	on(app.events, "layout", lay);
	on(window, "resize", debounced(lay, 100));
}
