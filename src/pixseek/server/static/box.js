// The box: what is typed, and the orders next to it.

import { byId } from "./dom.js";
import { keys } from "./keys.js";

/** @param {any} app */
export function createBox(app) {
  const form = byId("search");
  const box = byId("q");

  /** @param {Record<string, string>} changes */
  const go = (changes) => app.state.go({ image: "", ...changes });

  form.addEventListener("submit", (/** @type {Event} */ event) => {
    event.preventDefault();
    const q = box.value.trim();
    go({ q, sort: q === app.state.now.q ? app.state.now.sort : "" });
  });
  byId("sort").addEventListener("change", (/** @type {any} */ event) => go({ sort: event.target.value }));
  byId("library")?.addEventListener("change", (/** @type {any} */ event) => go({ library: event.target.value, q: "" }));
  app.state.addEventListener("change", () => (box.value = app.state.now.q));

  keys.push({ key: "/ Ctrl+k", context: "all", text: "key_box", run: () => (app.close?.(), box.focus(), box.select()) });

  return { focus: () => box.focus(), set: (/** @type {string} */ q) => go({ q }) };
}
