// One picture to look at: from its placeholder to all its pixels, moved and zoomed by any device.

import { preview } from "./api.js";
import { isCalm } from "./dom.js";
import { placeholder } from "./thumbhash.js";

/** Sizes that the server makes, in pixels of the longer side, and that of the stored preview. */
const SIZES = [1600, 4096, 8192];
const STORED = 384;
/** How much a picture is enlarged at most to fill the window, and to be looked at closely. */
const ENLARGED = 2;
const CLOSEST = 4;
/** Pixels that a finger moves to go on. */
const SWIPE = 60;

/** The size to ask for; 0 if the stored preview shows all. */
function sizeFor(record, pixels) {
	const longest = Math.max(record.width, record.height) || 8192;
	return longest <= STORED ? 0 : SIZES.find((each) => each >= Math.min(longest, pixels * 0.85)) || 8192;
}

/**
 * @param {{library(): string, swiped(step: number): void, away(): void}} on
 *   swiped: to the next picture (1), the previous (-1), or out (0); away: the file can't be shown
 */
export function createStage(on) {
	const element = document.querySelector(".stage");
	const picture = element.firstChild;
	const [soft, sharp] = picture.children;
	let record;
	let size = 0; // asked for
	let fit = 1; // pixels of the window for one of the picture
	let scale = 1;
	let x = 0;
	let y = 0;
	let timer = 0;

	function layout() {
		if (!record) return;
		const [width, height] = [record.width || 1, record.height || 1];
		fit = Math.min(element.clientWidth / width, element.clientHeight / height, ENLARGED);
		picture.style.width = `${width * fit}px`;
		picture.style.height = `${height * fit}px`;
		move();
	}

	function move(glides = false) {
		if (!record) return;
		const free = (inner, outer) => Math.max(0, (inner * fit * scale - outer) / 2);
		const [across, down] = [free(record.width, element.clientWidth), free(record.height, element.clientHeight)];
		x = Math.max(-across, Math.min(across, x));
		y = Math.max(-down, Math.min(down, y));
		put(x, y, glides);
		element.classList.toggle("zoomed", scale > 1);
		clearTimeout(timer);
		timer = setTimeout(sharpen, size && 180);
	}

	function put(right, down, glides) {
		picture.classList.toggle("glides", glides && !isCalm());
		picture.style.transform = `translate(-50%, -50%) translate(${right}px, ${down}px) scale(${scale})`;
	}

	function sharpen() {
		const needed = record && sizeFor(record, Math.max(record.width, record.height) * fit * scale * devicePixelRatio);
		if (!(needed > size)) return;
		size = needed;
		const of = record;
		const image = new Image();
		image.src = preview(of, on.library(), needed);
		image.decode().then(() => {
			if (of.id !== record?.id || size !== needed) return;
			sharp.src = image.src;
			picture.classList.add("is-sharp");
			if (Math.max(image.naturalWidth, image.naturalHeight) < 0.9 * Math.min(needed, Math.max(of.width, of.height))) on.away();
		}, () => of.id === record?.id && on.away());
	}

	/** Zoom so that what is under a point stays there. */
	function zoom(to, atX, atY, glides) {
		const box = element.getBoundingClientRect();
		const px = atX === undefined ? 0 : atX - box.x - box.width / 2;
		const py = atY === undefined ? 0 : atY - box.y - box.height / 2;
		const next = Math.max(1, Math.min(Math.max(CLOSEST, 2 / fit), to));
		x = px - ((px - x) * next) / scale;
		y = py - ((py - y) * next) / scale;
		scale = next;
		move(glides);
	}

	/** Show all of it, or its pixels one to one. */
	const toggle = (atX, atY) => zoom(scale > 1 ? 1 : Math.max(2, 1 / fit / devicePixelRatio), atX, atY, true);

	// ------------------------------------------------------------ pointers

	const points = new Map();
	let from;
	let tapped = { at: 0 };
	let pinched = false;
	const isTool = (event) => event.target.closest("button, .region, .region-tools");
	const spread = () => {
		const [a, b] = points.values();
		return { far: Math.hypot(a.x - b.x, a.y - b.y) || 1, x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 };
	};

	element.onpointerdown = (event) => {
		if (event.button || isTool(event)) return;
		element.setPointerCapture(event.pointerId);
		points.set(event.pointerId, { x: event.clientX, y: event.clientY });
		pinched = points.size > 1;
		if (!pinched) from = { x: event.clientX, y: event.clientY, at: event.timeStamp };
	};
	element.onpointermove = (event) => {
		const point = points.get(event.pointerId);
		if (!point) return;
		const before = pinched && points.size > 1 && spread();
		const [dx, dy] = [event.clientX - point.x, event.clientY - point.y];
		Object.assign(point, { x: event.clientX, y: event.clientY });
		if (before) {
			const after = spread();
			x += after.x - before.x;
			y += after.y - before.y;
			zoom((scale * after.far) / before.far, after.x, after.y);
		} else if (scale > 1) {
			x += dx;
			y += dy;
			move();
		} else if (event.pointerType !== "mouse" && !pinched) {
			const [right, down] = [event.clientX - from.x, event.clientY - from.y];
			if (Math.abs(right) > down) put(right, 0);
			else put(0, down);
		}
	};
	element.onpointerup = element.onpointercancel = (event) => {
		if (!points.delete(event.pointerId) || points.size || pinched || event.pointerType === "mouse") return;
		const [dx, dy, now] = [event.clientX - from.x, event.clientY - from.y, event.timeStamp];
		if (Math.hypot(dx, dy) < 12 && now - from.at < 300) {
			if (now - tapped.at < 320 && Math.hypot(from.x - tapped.x, from.y - tapped.y) < 40) return toggle(from.x, from.y);
			tapped = { ...from, at: now };
		} else if (scale === 1 && event.type === "pointerup") {
			if (Math.abs(dx) > Math.max(SWIPE, Math.abs(dy))) return on.swiped(dx < 0 ? 1 : -1);
			if (dy > 1.6 * SWIPE) return on.swiped(0);
		}
		move(true);
	};
	// Fingers are counted above: a browser's own double tap would zoom twice.
	element.ondblclick = (event) => isTool(event) || event.pointerType === "touch" || tapped.at || toggle(event.clientX, event.clientY);
	element.addEventListener("wheel", (event) => {
		event.preventDefault();
		zoom(scale * Math.exp(-event.deltaY * (event.deltaMode ? 0.03 : event.ctrlKey ? 0.01 : 0.002)), event.clientX, event.clientY);
	}, { passive: false });
	new ResizeObserver(layout).observe(element);

	return {
		element,
		picture,
		toggle,
		zoomBy: (factor) => zoom(scale * factor, undefined, undefined, true),
		/** Move the window over a zoomed picture. */
		pan(right, down) {
			x -= right * 80;
			y -= down * 80;
			move(true);
		},
		/** Show a picture; nothing for null. @param {any} next its record @param {string} [alt] */
		show(next, alt) {
			const isSame = record && record.id === next?.id && record.digest === next.digest;
			record = next;
			soft.alt = alt || "";
			if (isSame) return;
			size = x = y = 0;
			scale = 1;
			picture.classList.remove("is-sharp");
			sharp.removeAttribute("src");
			soft.removeAttribute("src");
			picture.querySelector("canvas")?.remove();
			if (!next) return;
			picture.prepend(next.placeholder ? placeholder(next.placeholder) || "" : "");
			soft.src = preview(next, on.library());
			layout();
		},
		/** Ask for a picture that may be shown next. @param {any} near its record */
		preload(near) {
			const wanted = sizeFor(near, Math.max(element.clientWidth, element.clientHeight) * devicePixelRatio);
			if (!near.missing) new Image().src = preview(near, on.library(), wanted || undefined);
		},
	};
}
