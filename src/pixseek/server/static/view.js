// How the page looks, saved searches, all keys. The menus are in the document that the server sends.

import { send } from "./api.js";
import { byId, h, icon } from "./dom.js";
import { keys } from "./keys.js";
import { base, mayWrite, ofLibrary } from "./state.js";
import { start, t } from "./texts.js";

export function createView(app) {
  // A menu opens below its button.
  for (const menu of document.querySelectorAll(".menu"))
    menu.addEventListener("beforetoggle", () => {
      const box = document.querySelector(`[popovertarget=${menu.id}]`).getBoundingClientRect();
      menu.style.top = `${box.bottom + 6}px`;
      menu.style.right = `${Math.max(8, document.documentElement.clientWidth - box.right)}px`;
    });

  const look = { theme: start.theme, rows: start.rows, language: start.chosen };
  byId("view-menu").addEventListener("change", ({ target }) => {
    look[target.name] = target.value;
    document.cookie = `pixseek_look=${look.theme}.${look.rows}.${look.language}; path=${base.pathname}; max-age=31536000; samesite=lax`;
    if (target.name === "language") return location.reload();
    document.documentElement.dataset[target.name] = target.value;
    if (target.name === "rows") app.grid.relayout();
  });
  byId("show-keys").addEventListener("click", () => (byId("view-menu").hidePopover(), showKeys()));

  // ------------------------------------------------------------ saved searches
  const saved = byId("saved");
  const name = byId("save-name");

  function follow() {
    const { q, example } = app.state.now;
    saved.hidden = Boolean(q || example);
    byId("save").hidden = !mayWrite || !q || Boolean(example);
  }

  function add(text) {
    const q = /^[\w-]+$/.test(text) ? `@${text}` : `@"${text}"`;
    const address = new URL(`?${new URLSearchParams({ q, ...ofLibrary(app.state.now) })}`, base);
    const label = t("forget", { name: text });
    for (const each of saved.children) if (each.textContent.trim() === text) each.remove();
    saved.append(h("li", { class: "chip" }, h("a", { href: address.href }, h("bdi", {}, text)), h("button", { "data-name": text, "aria-label": label, title: label }, icon("close"))));
  }

  saved.addEventListener("click", async ({ target }) => {
    const button = target.closest("[data-name]");
    if (!button) return;
    try {
      await send("DELETE", `saved/${encodeURIComponent(button.dataset.name)}`, { params: ofLibrary(app.state.now) });
      button.parentNode.remove();
    } catch (error) {
      app.problem(error);
    }
  });
  byId("save-menu").addEventListener("toggle", (event) => event.newState === "open" && name.focus());
  byId("save-menu").addEventListener("submit", async (event) => {
    event.preventDefault();
    const { q, sort, strength, dates } = app.state.now;
    const json = { query: q, ...(sort && { sort }), ...(strength && { min_strength: strength }), ...(dates && { dates: false }) };
    try {
      add((await send("PUT", `saved/${encodeURIComponent(name.value.trim())}`, { json, params: ofLibrary(app.state.now) })).name);
      byId("save-menu").hidePopover();
      app.say(t("saved_as", { name: name.value }));
    } catch (error) {
      app.problem(error);
    }
  });
  app.state.addEventListener("change", follow);

  // ------------------------------------------------------------ all keys
  const NAMES = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", Escape: "Esc", " ": t("space") };
  const shown = (key) => h("kbd", {}, NAMES[key] || key.replace(/\+(\w)$/, (_, each) => `+${each.toUpperCase()}`));

  function showKeys() {
    const groups = ["all", "grid", "viewer"].map((context) =>
      h("section", {}, h("h3", {}, t(`keys_${context}`)), h("dl", {}, ...keys.filter((each) => each.context === context && !each.hidden).flatMap((each) => [h("dt", {}, ...each.key.split(" ").map(shown)), h("dd", {}, t(each.text))]))),
    );
    const dialog = h(
      "dialog",
      { class: "keys", "aria-label": t("keys"), close: () => dialog.remove(), click: ({ target }) => target === dialog && dialog.close() },
      h("form", { method: "dialog" }, h("h2", {}, t("keys")), h("button", { class: "tool", "aria-label": t("close") }, icon("close"))),
      ...groups.filter((each) => each.querySelector("dt")),
    );
    document.body.append(dialog);
    dialog.showModal();
  }
  keys.push({ key: "?", context: "all", text: "key_keys", run: showKeys });
}
