// An indexing run while it goes on: on its page, and as a line in the header of others.

import { byId, h } from "./dom.js";
import { base, read } from "./state.js";

const { library } = read();
const address = new URL(`status/run${library ? `?library=${encodeURIComponent(library)}` : ""}`, base);

/** Follow the run that goes on, if any. @param {(now: any) => void} show called with each state */
async function follow(show) {
  const now = await fetch(address).then((answer) => answer.json(), () => null);
  if (!now || now.is_over) return;
  const events = new EventSource(address);
  events.onmessage = (event) => {
    const next = JSON.parse(event.data);
    if (next.is_over) events.close();
    show(next);
  };
}

const link = byId("status");
const run = byId("run");

follow((now) => {
  if (!run) {
    link.querySelector("span").textContent = now.short || "";
    return void (now.short ? link.removeAttribute("aria-label") : link.setAttribute("aria-label", link.title));
  }
  // What was found and what failed stands in other parts of the page.
  if (now.is_over) return location.reload();
  run.querySelector("h2").textContent = now.title;
  run.querySelector(".text").textContent = now.text;
  run.querySelector(".latest").textContent = now.latest;
  const bar = run.querySelector("progress") || h("progress", { "aria-label": now.title });
  if (now.total) Object.assign(bar, { max: now.total, value: now.done });
});
