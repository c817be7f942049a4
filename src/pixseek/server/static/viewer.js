// One image on the whole window: look, zoom, go on, search from it, say something of it.

import { address, get } from "./api.js";
import { button, h, isCalm } from "./dom.js";
import { altOf, createFacts, nameOf } from "./facts.js";
import { keys, setContext } from "./keys.js";
import { createRegion } from "./region.js";
import { leaning, leanings, say } from "./saying.js";
import { createStage } from "./stage.js";
import { mayWrite, ofLibrary } from "./state.js";
import { t } from "./texts.js";
import { failed, toast } from "./toast.js";

/** @param {any} app */
export function createViewer(app) {
  let id = "";
  /** @type {any} */
  let record = null;
  /** @type {any} the facts about it */
  let about = null;
  let isAway = false;
  let openedHere = false;
  /** @type {Promise<string[]>|null} */
  let tags = null;

  const library = () => app.state.now.library;
  const place = () => app.list?.indexOf(id) ?? -1;
  const stage = createStage({
    library,
    swiped: (step) => (step ? go(step) : close()),
    zoomed: (scale) => dialog.classList.toggle("is-zoomed", scale > 1.01),
    away() {
      isAway = true;
      facts.show(record, about, true);
    },
  });
  const region = createRegion(stage, (box) => search(`id:${id}@${box.map((each) => +each.toFixed(4)).join(",")}`));
  const facts = createFacts({
    go: search,
    rate,
    say: (what) => say(app, [id], what),
    copy,
    tags: () => (tags ??= get("facets", { ...ofLibrary(app.state.now), q: "has:tags" }, { quiet: true }).then((all) => Object.keys(all.tag || {}), () => [])),
  });

  const count = h("p", { class: "soft count" });
  const spoken = h("p", { class: "hidden", role: "status" });
  const like = button("like", t("like"), () => lean(true), { "aria-pressed": "false" });
  const dislike = button("dislike", t("dislike"), () => lean(false), { "aria-pressed": "false" });
  const info = button("info", t("facts_panel"), () => panel(), { "aria-pressed": "false" });
  const download = h("a", { class: "tool", title: t("download"), "aria-label": t("download"), download: "" }, button("download", "", () => {}).firstChild);
  const dialog = h("dialog", { id: "viewer", "aria-label": t("viewer") },
    h("header", {},
      button("close", t("close"), close), count,
      button("similar", t("similar"), () => similar()), button("region", t("region"), () => region.begin()),
      like, dislike, info,
      button("copy", t("copy_path"), () => copy(), { class: "tool copy" }), download),
    h("div", { class: "middle" }, stage.element, button("left", t("key_previous"), () => go(-1), { class: "tool go left" }), button("right", t("key_next"), () => go(1), { class: "tool go right" })),
    facts.element, spoken);
  document.body.append(dialog);
  panel(localStorage.getItem("facts") === "1" && innerWidth > 700);

  dialog.addEventListener("cancel", (event) => {
    event.preventDefault();
    if (!region.end()) close();
  });
  app.close = close;

  /** Show or hide the facts. @param {boolean} [shows] */
  function panel(shows = facts.element.hidden) {
    facts.element.hidden = !shows;
    info.setAttribute("aria-pressed", String(shows));
    if (dialog.open) localStorage.setItem("facts", shows ? "1" : "");
  }

  /** Run a change of the document in which the picture flies from one place to another. */
  function fly(from, change, to) {
    const start = from();
    if (!document.startViewTransition || isCalm() || !start) return void change();
    start.style.viewTransitionName = "photo";
    const flight = document.startViewTransition(() => {
      start.style.viewTransitionName = "";
      change();
      const end = to();
      if (end) {
        end.style.viewTransitionName = "photo";
        flight.finished.finally(() => (end.style.viewTransitionName = ""));
      }
    });
    flight.ready.catch(() => {});
  }
  const thumb = () => app.grid?.tileOf(id)?.querySelector("img");

  async function show(next) {
    id = next;
    region.end();
    const i = place();
    count.textContent = i < 0 ? "" : t("place", { n: i + 1, total: app.list.length });
    for (const [side, way] of [["left", i > 0], ["right", i >= 0 && i + 1 < app.list.length]]) dialog.querySelector(`.${side}`).hidden = !way;
    const leans = leanings(app.state.now.q).get(id);
    like.setAttribute("aria-pressed", String(leans === true));
    dislike.setAttribute("aria-pressed", String(leans === false));
    const first = app.list?.known(i);
    if (first) present(first);
    const whole = await known(next);
    if (id !== next || !app.state.now.image || !whole) return;
    present({ ...first, ...whole.record }, whole);
    spoken.textContent = altOf(record || { id });
    if (i >= 0) for (const near of [i + 1, i - 1]) if (near >= 0 && near < app.list.length) app.list.record(near).then((each) => id === next && stage.preload(each));
  }

  /** All that is known of an image, and the facts in words; null if it is not there. */
  async function known(of) {
    const { q, dates } = app.state.now;
    const asked = { ...ofLibrary(app.state.now), ...(app.list?.isRanked ? { q, dates } : {}) };
    try {
      return await get(`../facts/${encodeURIComponent(of)}`, asked, { key: "viewer", quiet: true });
    } catch (error) {
      failed(error);
      if (!record) close();
      return null;
    }
  }

  function present(next, words = null) {
    const isNew = record?.id !== next.id;
    if (isNew) isAway = false;
    record = next;
    about = words || (isNew ? null : about);
    isAway ||= next.is_there === false;
    download.href = address(`images/${encodeURIComponent(id)}/original`, ofLibrary(app.state.now));
    download.download = nameOf(next);
    stage.show(next, altOf(next));
    facts.show(next, about, isAway);
  }

  function open(next) {
    fly(thumb, () => {
      setContext(() => (document.querySelector("dialog[open]:not(#viewer)") ? "none" : "viewer"));
      dialog.showModal();
      stage.element.focus();
      document.documentElement.classList.add("viewing");
    }, () => stage.picture);
    show(next);
  }

  /** Leave: back in the history if we came from the list. */
  function close() {
    if (!dialog.open) return;
    if (openedHere) history.back();
    else app.state.go({ image: "" }, { replace: true });
  }

  function closed() {
    const i = place();
    if (i >= 0) app.grid?.focus(i, { focus: false });
    fly(() => stage.picture, () => {
      dialog.close();
      setContext(() => (document.querySelector("dialog[open]") ? "none" : "grid"));
      document.documentElement.classList.remove("viewing");
      stage.clear();
      record = null;
      if (i >= 0) app.grid?.focus(i);
    }, thumb);
  }

  const go = (step) => {
    const to = app.list?.id(place() + step);
    if (to && place() >= 0) app.open(to, { replace: true });
  };

  function search(q) {
    app.state.go({ q, image: "", sort: "", example: "" });
  }
  const similar = () => search(`id:${id}`);

  function lean(wanted) {
    const { q } = app.state.now;
    const now = leanings(q).get(id) === wanted ? null : wanted;
    const next = leaning(q, id, now);
    const looksFor = leaning(q, id, null) !== "" || [...leanings(next).values()].includes(true);
    if (!looksFor && next) return toast(t("dislike_alone"));
    app.state.go({ q: next, image: id }, { replace: true });
    toast(t(now === null ? "lean_none" : now ? "liked" : "disliked"));
  }

  async function rate(n) {
    if (await say(app, [id], { rating: n })) toast(t(n ? "rated" : "unrated", { n }));
  }

  async function copy(text = record?.path || record?.uri || "") {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // Pages without TLS have no clipboard: the old way.
      const field = h("textarea", { class: "hidden" });
      field.value = text;
      dialog.append(field);
      field.select();
      document.execCommand("copy");
      field.remove();
    }
    toast(t("copied", { what: text }));
  }

  app.state.addEventListener("change", (event) => {
    const { image } = app.state.now;
    if (image && !dialog.open) {
      openedHere = !event.detail.isBack && !event.detail.before.image;
      open(image);
    } else if (image && image !== id) show(image);
    else if (!image && dialog.open) closed();
  });
  app.events.addEventListener("list", () => dialog.open && show(id));
  app.events.addEventListener("changed", (event) => dialog.open && event.detail.includes(id) && show(id));
  if (app.state.now.image) open(app.state.now.image);

  const key = (name, text, run, more = {}) => keys.push({ key: name, context: "viewer", text, run, ...more });
  const moves = (name, step, right, down) => {
    if (step) key(name, step > 0 ? "key_next" : "key_previous", () => go(step));
    key(`Shift+${name}`, "key_pan", () => stage.pan(right, down), { hidden: name !== "ArrowUp" });
  };
  moves("ArrowLeft", -1, -1, 0);
  moves("ArrowRight", 1, 1, 0);
  moves("ArrowUp", 0, 0, -1);
  moves("ArrowDown", 0, 0, 1);
  key("s", "similar", similar);
  key("l", "like", () => lean(true));
  key("d", "dislike", () => lean(false));
  key("i", "facts_panel", () => panel());
  key("r", "region", () => region.begin());
  key("z", "key_zoom", () => stage.toggle());
  key("+ =", "key_closer", () => stage.zoomBy(1.5), { hidden: true });
  key("-", "key_farther", () => stage.zoomBy(1 / 1.5), { hidden: true });
  key("c", "copy_path", () => copy());
  key("o", "download", () => download.click());
  if (mayWrite) {
    const edit = (what, act) => {
      panel(true);
      act(facts.element.querySelector(what));
    };
    key("1 2 3 4 5", "key_rate", (event) => rate(Number(event.key)));
    key("0", "key_unrate", () => rate(0));
    key("t", "tag_add", () => edit("#add-tag", (field) => field.focus()));
    key("e", "caption_edit", () => edit("#edit-caption", (tool) => tool.click()));
  }
  return { get isOpen() { return dialog.open; }, close };
}
