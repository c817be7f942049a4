// An indexing run while it goes on: on its page, and as a line in the header of others.

import { byId } from "./dom.js";
import { base, ofLibrary, read } from "./state.js";
import { createLook } from "./view.js";

const address = new URL(`status/run?${new URLSearchParams(ofLibrary(read()))}`, base);
const run = byId("run");
const link = byId("status");

if (!byId("grid")) createLook();

function show(now) {
	if (!run) {
		link.lastChild.textContent = now.short || "";
		return void (link.ariaLabel = now.short || link.title);
	}
	// What was found, and what failed, stands in other parts of the page.
	if (now.is_over) return location.reload();
	for (const name of ["title", "text", "latest"]) run.querySelector(`.${name}`).textContent = now[name];
	if (now.total) Object.assign(run.querySelector("progress"), { max: now.total, value: now.done });
}

const first = await fetch(address).then((answer) => answer.json(), () => null);
// It may have ended since the page was written.
if (first?.is_over && run?.dataset.over === "0") show(first);
if (first && !first.is_over) {
	const events = new EventSource(address);
	events.onmessage = ({ data }) => {
		const now = JSON.parse(data);
		if (now.is_over) events.close();
		show(now);
	};
}
