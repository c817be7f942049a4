// A rectangle on the picture, drawn by pointer or keys, whose content is searched for.

import { byId, h } from "./dom.js";
import { t } from "./texts.js";

/** The smallest side and the step of the keys, as fractions of the picture. */
const LEAST = 0.03;
const STEP = 0.02;

const within = (value, low, high) => Math.max(low, Math.min(high, value));

/** @param {any} stage @param {(box: number[]) => void} search given x, y, width, height as fractions */
export function createRegion(stage, search) {
	let box;
	let from;
	const frame = h("div");
	const element = h("div", { class: "region", role: "application", tabindex: "0", "aria-label": t("region_hint") }, frame);
	const done = () => end() && search(box);
	const tools = stage.element.lastChild;
	byId("r-search").onclick = done;
	byId("r-cancel").onclick = () => end();

	function draw(next) {
		box = next;
		["left", "top", "width", "height"].forEach((side, n) => (frame.style[side] = `${box[n] * 100}%`));
	}

	function begin() {
		if (end()) return;
		draw([0.25, 0.25, 0.5, 0.5]);
		stage.picture.append(element);
		tools.hidden = false;
		element.focus();
	}

	/** Stop drawing. Returns whether something was drawn. */
	function end() {
		if (!element.isConnected) return false;
		element.remove();
		tools.hidden = true;
		stage.element.focus();
		return true;
	}

	const at = (event) => {
		const on = element.getBoundingClientRect();
		return [within((event.clientX - on.x) / on.width, 0, 1), within((event.clientY - on.y) / on.height, 0, 1)];
	};
	// Else Chromium may take a tap that follows the drawing for the end of a fling.
	element.ontouchstart = (event) => event.preventDefault();
	element.onpointerdown = (event) => {
		element.setPointerCapture(event.pointerId);
		from = at(event);
	};
	element.onpointermove = (event) => {
		if (!from) return;
		const to = at(event);
		const size = [0, 1].map((n) => Math.max(LEAST, Math.abs(from[n] - to[n])));
		draw([...[0, 1].map((n) => Math.min(from[n], to[n], 1 - size[n])), ...size]);
	};
	element.onpointerup = element.onpointercancel = () => (from = null);
	element.onkeydown = (event) => {
		const n = { ArrowLeft: 0, ArrowRight: 0, ArrowUp: 1, ArrowDown: 1 }[event.key];
		if (n >= 0) {
			const step = /Left|Up/.test(event.key) ? -STEP : STEP;
			if (event.shiftKey) box[n + 2] = within(box[n + 2] + step, LEAST, 1 - box[n]);
			else box[n] = within(box[n] + step, 0, 1 - box[n + 2]);
			draw(box);
		} else if (event.key === "Enter") done();
		else if (event.key === "Escape") end();
		else return;
		event.preventDefault();
		event.stopPropagation();
	};
	return { begin, end };
}
