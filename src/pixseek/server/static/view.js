// Menus: how the page looks, saved searches, all keys.

import { send } from "./api.js";
import { byId, h } from "./dom.js";
import { keys } from "./keys.js";
import { base, mayWrite, ofLibrary } from "./state.js";
import { start, t } from "./texts.js";

/** A menu that a button opens. @param {string} id @param {any} opener @param {...Node} children */
function menu(id, opener, ...children) {
  const made = h("div", { id, class: "menu", popover: "auto" }, ...children);
  opener.setAttribute("popovertarget", id);
  made.addEventListener("beforetoggle", () => {
    const box = opener.getBoundingClientRect();
    made.style.top = `${box.bottom + 6}px`;
    made.style.right = `${Math.max(8, document.documentElement.clientWidth - box.right)}px`;
  });
  return made;
}

/** @param {string} name @param {string} legend @param {[string, string][]} options @param {string} chosen @param {(value: string) => void} choose */
function choice(name, legend, options, chosen, choose) {
  return h(
    "fieldset",
    { change: (event) => choose(event.target.value) },
    h("legend", {}, legend),
    ...options.map(([value, text]) => h("label", {}, h("input", { type: "radio", name, value, checked: value === chosen }), h("span", {}, text))),
  );
}

/** @param {any} app */
export function createView(app) {
  const tools = byId("tools");
  const look = { theme: start.theme, rows: start.rows, language: start.chosen || "" };

  function keep() {
    document.cookie = `pixseek_look=${look.theme}.${look.rows}.${look.language}; path=${base.pathname}; max-age=31536000; samesite=lax`;
    document.documentElement.dataset.theme = look.theme;
    document.documentElement.dataset.rows = look.rows;
  }

  // ------------------------------------------------------------ how it looks
  const opener = byId("view");
  tools.append(
    menu(
      "view-menu",
      opener,
      choice("rows", t("rows"), [["s", t("rows_s")], ["m", t("rows_m")], ["l", t("rows_l")]], look.rows, (value) => {
        look.rows = value;
        keep();
        app.grid.relayout();
      }),
      choice("theme", t("theme"), [["auto", t("theme_auto")], ["light", t("theme_light")], ["dark", t("theme_dark")]], look.theme, (value) => {
        look.theme = value;
        keep();
      }),
      choice("language", t("language"), Object.entries(start.languages), start.language, (value) => {
        look.language = value;
        keep();
        location.reload();
      }),
      h("button", { type: "button", class: "tool", click: () => (byId("view-menu").hidePopover(), showKeys()) }, t("keys")),
      start.has_login && h("form", { method: "post", action: new URL("logout", base).href }, h("button", { class: "tool" }, t("logout"))),
    ),
  );

  // ------------------------------------------------------------ saved searches
  const saved = byId("saved");
  const called = (name) => (/^[\w-]+$/.test(name) ? `@${name}` : `@"${name}"`);
  let names = start.saved;

  function showSaved() {
    const { q, example } = app.state.now;
    const isHome = !q && !example;
    saved.replaceChildren(
      ...(isHome
        ? names.map((name) =>
            h(
              "li",
              { class: "chip" },
              h("a", { href: new URL(`?${new URLSearchParams({ q: called(name), ...ofLibrary(app.state.now) })}`, base).href, click: (event) => (event.preventDefault(), app.state.go({ q: called(name), sort: "" })) }, h("bdi", {}, name)),
              mayWrite && h("button", { type: "button", "aria-label": t("forget", { name }), title: t("forget", { name }), click: () => forget(name) }, "×"),
            ),
          )
        : []),
    );
    saver.hidden = !mayWrite || !q || Boolean(example);
  }

  async function forget(name) {
    try {
      await send("DELETE", `saved/${encodeURIComponent(name)}`, { params: ofLibrary(app.state.now) });
      names = names.filter((each) => each !== name);
      showSaved();
    } catch (error) {
      app.problem(error);
    }
  }

  const saver = byId("save");
  const name = h("input", { id: "save-name", maxlength: 100, required: true, autocomplete: "off" });
  const form = h(
    "form",
    {
      submit: async (event) => {
        event.preventDefault();
        const { q, sort, strength, dates } = app.state.now;
        try {
          const json = { query: q, ...(sort && { sort }), ...(strength && { min_strength: strength }), ...(dates === "false" && { dates: false }) };
          const kept = await send("PUT", `saved/${encodeURIComponent(name.value.trim())}`, { json, params: ofLibrary(app.state.now) });
          names = [...new Set([...names, kept.name])];
          byId("save-menu").hidePopover();
          app.say(t("saved_as", { name: kept.name }));
        } catch (error) {
          app.problem(error);
        }
      },
    },
    h("label", { for: "save-name" }, t("save_as")),
    name,
    h("button", { class: "button" }, t("save_button")),
  );
  const saveMenu = menu("save-menu", saver, form);
  saveMenu.addEventListener("toggle", (event) => event.newState === "open" && name.focus());
  tools.append(saveMenu);
  app.state.addEventListener("change", showSaved);
  showSaved();

  // ------------------------------------------------------------ all keys
  const shown = (key) => ({ ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", Escape: "Esc", " ": t("space") })[key] || (key.length === 1 ? key : key.replace(/\+(\w)$/, (_, each) => `+${each.toUpperCase()}`));
  function showKeys() {
    const groups = ["all", "grid", "viewer"].map((context) => {
      const some = keys.filter((each) => each.context === context && !each.hidden);
      return some.length && h("section", {}, h("h3", {}, t(`keys_${context}`)), h("dl", {}, ...some.flatMap((each) => [h("dt", {}, ...each.key.split(" ").flatMap((key, i) => [i ? " " : "", h("kbd", {}, shown(key))])), h("dd", {}, t(each.text))])));
    });
    const dialog = h("dialog", { class: "keys", "aria-label": t("keys"), close: () => dialog.remove(), click: (event) => event.target === dialog && dialog.close() },
      h("form", { method: "dialog" }, h("h2", {}, t("keys")), h("button", { class: "tool", "aria-label": t("close") }, "×")), ...groups.filter(Boolean));
    document.body.append(dialog);
    dialog.showModal();
  }
  keys.push({ key: "?", context: "all", text: "key_keys", run: showKeys });
}
