// Videos: length on thumbnails, frames under the pointer; in the viewer it plays from the moment,
// and a strip of its shots shows where else the search matches. Loaded when a video is shown.

import { address } from "./api.js";
import { byId, button, h, isCalm } from "./dom.js";
import { ofLibrary } from "./state.js";
import { t } from "./texts.js";
import { toast } from "./toast.js";

/** Frames that a thumbnail shows as the pointer crosses it. */
const FRAMES = 10;

document.head.append(h("link", { rel: "stylesheet", href: new URL("film.css", import.meta.url).href }));

/** Seconds as players show them. */
function clock(seconds) {
	const s = Math.floor(seconds);
	const two = (n) => String(n).padStart(2, "0");
	return s < 3600 ? `${Math.floor(s / 60)}:${two(s % 60)}` : `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`;
}

/** Say on a thumbnail how long the video is. */
export function badge(app, link, { duration_s }) {
	link.dataset.s = duration_s;
	if (!link.querySelector(".length")) link.append(h("span", { class: "length" }, clock(duration_s)));
}

byId("grid").parentElement.addEventListener("pointermove", (event) => {
	const link = event.pointerType === "mouse" && event.target.closest("[data-s]");
	const img = link && link.querySelector("img");
	if (!img?.currentSrc || !img.complete || isCalm()) return;
	const at = Math.min(FRAMES - 1, Math.floor((event.offsetX / img.clientWidth) * FRAMES));
	const there = new URL(img.src);
	link.dataset.still ||= img.src;
	for (const name of ["part", "size"]) there.searchParams.delete(name);
	there.searchParams.set("at", (((at + 0.5) / FRAMES) * link.dataset.s).toFixed(1));
	if (there.href !== img.src) img.src = there.href;
	link.onpointerleave = () => {
		img.src = link.dataset.still;
		delete link.dataset.still;
	};
});

// ------------------------------------------------------------ the viewer

let shown = null; // of which record, and its elements

function end(app) {
	byId("v-region").hidden = false;
	if (app) app.at = null;
	shown?.video?.pause();
	shown?.element.remove();
	shown = null;
}
byId("viewer").addEventListener("close", () => end(shown?.app));

/** Show a video, or nothing for an image. @param {any} record @param {any} about what the server says of it */
export function play(app, record, about) {
	const { film } = about || {};
	if (shown && shown.id !== record.id) end(app);
	if (!film || !byId("viewer").open) return;
	const key = JSON.stringify(film);
	if (shown?.key === key) return;
	end(app);
	const library = ofLibrary(app.state.now);
	const of = `images/${encodeURIComponent(record.id)}/`;
	const frame = (part) => address(`${of}preview`, { v: record.digest, part, ...library });
	const shot = (part) => strip.querySelector(`[data-part="${part}"]`);
	const video = h("video", { controls: true, playsinline: true, preload: "metadata", "aria-label": t("film") });
	const still = h("img", { alt: "", hidden: true });
	const strip = h("div", { class: "strip", role: "group", "aria-label": t("film_shots") });
	const line = h("div", { class: "line", "aria-hidden": "true" });
	const screen = h("div", { class: "screen" }, video, still);
	const save = h("a", { class: "save", download: "" }, t("film_save"));
	const element = h("div", { class: "film" }, screen, save, line, strip);
	shown = { app, id: record.id, key, element, video };
	const total = record.duration_s || film.shots.at(-1).end;
	const best = film.shots.find(({ part }) => part === film.part);

	let isBroken = false;
	const at = (each) => {
		for (const one of strip.children) one.ariaCurrent = one === shot(each?.part) ? "true" : null;
		save.href = address(`${of}clip`, { part: (each || film.shots[0]).part, ...library });
	};
	const go = (each, plays = true) => {
		at(each);
		if (isBroken) still.src = frame(each.part);
		else {
			video.currentTime = each.start;
			if (plays) video.play().catch(() => {});
		}
	};
	for (const each of film.shots) {
		const time = `${clock(each.start)}–${clock(each.end)}`;
		const label = each.strength ? t("film_match", { time, strength: t(`film_${each.strength}`) }) : time;
		strip.append(h("button", { type: "button", class: each.strength, "data-part": each.part, title: label, "aria-label": label, click: () => go(each) },
			h("img", { src: frame(each.part), alt: "", loading: "lazy", width: record.width || null, height: record.height || null }), h("span", { "aria-hidden": "true" }, clock(each.start))));
		if (!each.strength) continue;
		const mark = h("span", { class: each.strength, title: label, click: () => go(each) });
		Object.assign(mark.style, { left: `${(100 * each.start) / total}%`, width: `${(100 * (each.end - each.start)) / total}%` });
		line.append(mark);
	}
	const now = h("i");
	line.append(now);
	video.ontimeupdate = () => {
		now.style.left = `${(100 * video.currentTime) / total}%`;
		at(film.shots.findLast(({ start }) => start <= video.currentTime + 0.05));
	};
	// Keys of a player are its own, except those that leave it.
	video.onkeydown = (event) => event.key !== "Escape" && event.stopPropagation();
	const broken = () => {
		if (isBroken) return;
		isBroken = true;
		video.hidden = true;
		still.hidden = false;
		still.src = frame((best || film.shots[0]).part);
		screen.append(h("p", { class: "note" }, t("film_unplayable"), " ", h("a", { href: byId("v-download").href, download: "" }, t("download"))));
	};
	video.onerror = broken;
	const open = () => {
		// Similar is then what it shows now; a part of the picture can't be drawn over a player.
		app.at = () => `@${(isBroken ? film.shots.find(({ part }) => shot(part).ariaCurrent)?.start || 0 : video.currentTime).toFixed(2)}`;
		byId("v-region").hidden = true;
		// Some browsers load nothing of it until it plays: till then there is the frame that was found.
		video.poster = frame((best || film.shots[0]).part);
		video.src = `${address(`${of}${film.source}`, library)}#t=${(best?.start || 0).toFixed(3)}`;
		document.querySelector("#viewer .middle").append(element);
		at(best);
		if (best) strip.querySelector("[data-part]") && go(best, false);
		shot(film.part)?.scrollIntoView({ block: "nearest", inline: "center" });
	};
	if (record.media && !record.media.startsWith("video/") && !best) {
		// A photo with a moving part is looked at first.
		element.replaceChildren(button("play", t("film_play"), () => {
			element.classList.remove("waits");
			element.replaceChildren(screen, save, line, strip);
			open();
			video.play().catch(() => toast(t("film_unplayable")));
		}, { word: true }));
		element.classList.add("waits");
		document.querySelector("#viewer .middle").append(element);
	} else open();
}
