// Many images at once: choose them, then tag, rate, compare or export them.

import { address } from "./api.js";
import { button, h, icon } from "./dom.js";
import { createCopies } from "./copies.js";
import { keys } from "./keys.js";
import { say, tagsOf } from "./saying.js";
import { mayWrite, ofLibrary } from "./state.js";
import { t } from "./texts.js";
import { failed, toast } from "./toast.js";

/** Milliseconds that a finger rests on a picture to choose it. */
const LONG = 450;

/** @param {any} app */
export function createSelection(app) {
  /** @type {Set<string>} */
  const chosen = new Set();
  let last = 0;
  const grid = document.getElementById("grid");
  const copies = createCopies(app, (ids) => set(ids));
  const count = h("p", { role: "status" });

  const field = h("input", { "aria-label": t("tag_many"), placeholder: t("tag_many"), maxlength: "500", autocomplete: "off", enterkeyhint: "done" });
  const tagging = h("form", {}, field);
  tagging.addEventListener("submit", async (event) => {
    event.preventDefault();
    const tags = tagsOf(field.value);
    const add = tags.filter((each) => !each.startsWith("-"));
    const remove = tags.filter((each) => each.startsWith("-")).map((each) => each.slice(1));
    if (tags.length && (await say(app, [...chosen], { add, remove }))) {
      field.value = "";
      toast(t("tagged", { n: chosen.size }));
    }
  });
  const rating = h("select", { "aria-label": t("rating"), change: () => {
    const n = Number(rating.value);
    rating.value = "";
    say(app, [...chosen], { rating: n }).then((done) => done && toast(t(n ? "rated_many" : "unrated_many", { n: chosen.size, stars: n })));
  } }, h("option", { value: "", selected: true }, t("rating")), ...[5, 4, 3, 2, 1].map((n) => h("option", { value: n }, "★".repeat(n))), h("option", { value: "0" }, t("unrated")));
  const exporting = h("select", { "aria-label": t("export"), change: () => {
    const format = exporting.value;
    exporting.value = "";
    save(format);
  } }, h("option", { value: "", selected: true }, t("export")), ...["paths", "csv", "json"].map((each) => h("option", { value: each }, t(`export_${each}`))));

  const bar = h("div", { id: "selection", role: "toolbar", "aria-label": t("selection"), hidden: true },
    button("close", t("select_none"), () => set([])), count,
    mayWrite && tagging, mayWrite && rating, exporting,
    button("copies", t("copies"), () => copies.open([...chosen]), { word: true }));
  document.body.append(bar);

  function decorate(tile) {
    const is = chosen.has(tile.dataset.id);
    tile.classList.toggle("chosen", is);
    let check = tile.querySelector(".check");
    if (!check) {
      check = h("button", { type: "button", class: "check", tabindex: "-1" }, icon("check"));
      tile.append(check);
    }
    check.setAttribute("aria-pressed", String(is));
    check.setAttribute("aria-label", t("select"));
  }

  function changed() {
    bar.hidden = !chosen.size;
    document.body.classList.toggle("selecting", chosen.size > 0);
    count.textContent = t("selected", { n: chosen.size });
    for (const [, tile] of app.grid.tiles()) decorate(tile);
    app.emit("select");
  }

  function set(ids) {
    chosen.clear();
    for (const each of ids) chosen.add(each);
    changed();
  }

  /** @param {number} i */
  function toggle(i) {
    const id = app.list.id(i);
    if (!chosen.delete(id)) chosen.add(id);
    last = i;
    changed();
  }

  /** Choose all from the one that was chosen last. @param {number} i */
  function range(i) {
    for (let at = Math.min(i, last); at <= Math.max(i, last); at++) chosen.add(app.list.id(at));
    changed();
  }

  async function save(format) {
    try {
      const answer = await fetch(address("export", ofLibrary(app.state.now)), {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ ids: [...chosen], format }),
      });
      if (!answer.ok) throw new Error((await answer.json()).detail);
      const link = h("a", { href: URL.createObjectURL(await answer.blob()), download: `pixseek.${format === "paths" ? "txt" : format}` });
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    } catch (error) {
      failed(error);
    }
  }

  const placeOf = (event) => {
    const tile = event.target.closest?.(".tile");
    return tile?.dataset.i ? Number(tile.dataset.i) : -1;
  };
  let held = 0;
  let wasHeld = false;
  grid.addEventListener("click", (event) => {
    const i = placeOf(event);
    if (i < 0 || event.button) return;
    const picks = event.target.closest(".check") || event.ctrlKey || event.metaKey || chosen.size || wasHeld;
    if (!picks && !event.shiftKey) return;
    event.preventDefault();
    event.stopPropagation();
    if (wasHeld) wasHeld = false;
    else if (event.shiftKey && (chosen.size || picks)) range(i);
    else toggle(i);
  }, true);
  grid.addEventListener("pointerdown", (event) => {
    clearTimeout(held);
    wasHeld = false;
    const i = placeOf(event);
    if (event.pointerType === "touch" && i >= 0) held = setTimeout(() => ((wasHeld = true), toggle(i)), LONG);
  });
  for (const name of ["pointerup", "pointercancel", "pointermove"]) grid.addEventListener(name, (event) => (name !== "pointermove" || Math.abs(event.movementY) > 3) && clearTimeout(held));
  grid.addEventListener("contextmenu", (event) => wasHeld && event.preventDefault());

  app.decorations.push(decorate);
  app.events.addEventListener("list", () => set([...chosen].filter((each) => app.list.indexOf(each) >= 0)));

  const key = (name, text, run) => keys.push({ key: name, context: "grid", text, run });
  key("x", "key_select", () => (app.list?.length ? toggle(app.grid.current) : false));
  for (const [name, step] of [["ArrowRight", 1], ["ArrowLeft", -1], ["ArrowDown", 0], ["ArrowUp", 0]])
    keys.push({ key: `Shift+${name}`, context: "grid", text: "key_range", hidden: name !== "ArrowRight", run: () => {
      if (!chosen.size) toggle(app.grid.current);
      keys.find((each) => each.key === name && each.context === "grid").run();
      range(app.grid.current);
    } });
  key("Ctrl+a", "select_all", () => set(app.list?.ids || []));
  key("Escape", "select_none", () => (chosen.size ? set([]) : false));
  if (mayWrite) key("t", "tag_many", () => (chosen.size ? field.focus() : false));
  field.addEventListener("keydown", (event) => event.key === "Escape" && app.grid.focus(app.grid.current));
  if (mayWrite) key("1 2 3 4 5", "key_rate", (event) => {
    const ids = chosen.size ? [...chosen] : app.list?.length && grid.contains(document.activeElement) ? [app.list.id(app.grid.current)] : [];
    if (!ids.length) return false;
    say(app, ids, { rating: Number(event.key) }).then((done) => done && toast(t("rated_many", { n: ids.length, stars: Number(event.key) })));
  });

  return { has: (id) => chosen.has(id), get size() { return chosen.size; }, get ids() { return [...chosen]; }, set, toggle, range };
}
