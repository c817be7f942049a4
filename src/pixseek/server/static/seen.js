// Outlines of the lines in a picture that hold words of the search. Loaded when there are any.

import { h } from "./dom.js";

const element = h("div", { class: "seen", "aria-hidden": "true" });

/** Outline boxes on a picture; none for []. @param {number[][]} boxes x, y, width, height as fractions */
export function outline(picture, boxes) {
	element.replaceChildren(...boxes.map((box) => {
		const line = h("div");
		["left", "top", "width", "height"].forEach((side, n) => (line.style[side] = `${box[n] * 100}%`));
		return line;
	}));
	if (boxes.length) picture.append(element);
	else element.remove();
}
