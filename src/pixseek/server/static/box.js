// The box: suggestions while one types, errors at their place, pictures dropped, pasted or chosen.

import { get } from "./api.js";
import { byId, debounced, h, icon } from "./dom.js";
import { keep } from "./examples.js";
import { keys } from "./keys.js";
import { base, ofLibrary } from "./state.js";
import { number, t } from "./texts.js";

const RECENT = "pixseek-recent";
const MOST_RECENT = 30;

const recent = () => {
  try {
    return JSON.parse(localStorage.getItem(RECENT) || "[]");
  } catch {
    return [];
  }
};

export function createBox(app) {
  const form = byId("search");
  const box = byId("q");
  const list = h("ul", { id: "suggestions", role: "listbox", "aria-label": t("suggestions"), hidden: true });
  const wrong = h("p", { id: "wrong", role: "alert", hidden: true });
  let shown = [];
  let at = -1;
  let typed = "";

  const go = (changes) => app.state.go({ image: "", ...changes });

  function search(q = box.value.trim()) {
    close();
    if (q) {
      try {
        localStorage.setItem(RECENT, JSON.stringify([q, ...recent().filter((each) => each !== q)].slice(0, MOST_RECENT)));
      } catch {
        // No room, or not allowed: then nothing is remembered.
      }
    }
    const same = q === app.state.now.q;
    if (same && q === "") go({});
    else if (same) app.load();
    else go({ q, sort: "", dates: "" });
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    search();
  });
  byId("sort").addEventListener("change", (event) => go({ sort: event.target.value }));
  byId("library")?.addEventListener("change", (event) => go({ library: event.target.value, q: "", example: "" }));

  /** The orders that make sense, and what is typed, as the state says. */
  function follow() {
    const { q, sort, library, example } = app.state.now;
    box.value = q;
    const orders = ["newest", "oldest", "name", "largest", "smallest"];
    if (q || example) orders.unshift("relevance");
    byId("sort").replaceChildren(...orders.map((each, i) => h("option", { value: i ? each : "" }, t(`sort_${each}`))));
    byId("sort").value = sort;
    const libraries = byId("library");
    if (libraries) libraries.value = library || libraries.options[0].value;
    document.title = q ? `${q} · pixseek` : "pixseek";
    explain(null);
  }
  app.state.addEventListener("change", follow);

  // ------------------------------------------------------------ suggestions

  for (const [name, value] of Object.entries({ role: "combobox", "aria-expanded": "false", "aria-controls": "suggestions", "aria-autocomplete": "list" })) box.setAttribute(name, value);
  byId("box").append(list);
  form.append(wrong);

  const ask = debounced(async () => {
    const text = box.value;
    const old = recent().filter((each) => each !== text && each.toLowerCase().startsWith(text.toLowerCase())).slice(0, text ? 4 : 8);
    const found = text.trim() && app.start.suggests ? await get("suggest", { text, ...ofLibrary(app.state.now) }, { key: "suggest", quiet: true }).catch(() => null) : null;
    if (document.activeElement !== box || box.value !== text) return;
    explain(found);
    show([...old.map((each) => ({ text: each, label: each, kind: "recent" })), ...(found?.suggestions || [])]);
  }, 90);

  function show(some) {
    shown = some;
    at = -1;
    list.hidden = !some.length;
    box.setAttribute("aria-expanded", String(some.length > 0));
    box.removeAttribute("aria-activedescendant");
    list.replaceChildren(
      ...some.map((each, i) =>
        h(
          "li",
          { id: `s${i}`, role: "option", "aria-selected": "false", pointerdown: (event) => (event.preventDefault(), choose(i)) },
          icon({ recent: "clock", saved: "star", value: "tag" }[each.kind] || "search"),
          h("bdi", {}, each.label),
          each.count != null && h("span", {}, number(each.count)),
        ),
      ),
    );
  }

  const close = () => show([]);

  function mark(i) {
    if (at < 0) typed = box.value;
    list.children[at]?.setAttribute("aria-selected", "false");
    at = (i + shown.length + 1) % (shown.length + 1);
    if (at === shown.length) at = -1;
    const option = list.children[at];
    option?.setAttribute("aria-selected", "true");
    option?.scrollIntoView({ block: "nearest" });
    if (option) box.setAttribute("aria-activedescendant", option.id);
    else box.removeAttribute("aria-activedescendant");
    box.value = at < 0 ? typed : shown[at].text;
  }

  /** Take a suggestion: a whole query is searched, the name of a field waits for its value. */
  function choose(i) {
    const { text, kind } = shown[i];
    box.value = text;
    if (kind !== "field") return search();
    close();
    ask();
  }

  box.addEventListener("input", () => ask());
  box.addEventListener("focus", () => !box.value && ask());
  box.addEventListener("blur", close);
  box.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      if (!shown.length) return event.key === "ArrowDown" && (box.value.trim() && !list.children.length ? app.grid.focus(app.grid.current) : ask());
      event.preventDefault();
      mark(event.key === "ArrowDown" ? at + 1 : at < 0 ? shown.length - 1 : at - 1);
    } else if (event.key === "Enter" && at >= 0) {
      event.preventDefault();
      choose(at);
    } else if (event.key === "Escape") {
      if (shown.length) close();
      else box.blur();
    }
  });

  /** Say what is wrong with the query, with the part that is. */
  function explain(found) {
    wrong.hidden = !found?.problem;
    box.toggleAttribute("aria-invalid", !wrong.hidden);
    if (wrong.hidden) return;
    const { problem, advice, at: from, length } = found;
    const text = box.value;
    wrong.replaceChildren(
      ...(from == null ? [] : [h("span", { class: "place" }, text.slice(0, from), h("mark", {}, text.slice(from, from + Math.max(1, length || 1)) || "␣"), text.slice(from + Math.max(1, length || 1)))]),
      h("strong", {}, problem),
      ` ${advice || ""}`,
    );
  }

  // ------------------------------------------------------------ pictures

  async function searchBy(file) {
    if (!/^image\//.test(file.type) && file.type) return app.say(t("not_a_picture", { name: file.name || "" }), { wrong: true });
    go({ example: await keep(file), sort: "", weight: "" });
  }

  /** Search for more like an image of the library. */
  function like(id) {
    const { q } = app.state.now;
    if (!q.includes(`id:${id}`) && !q.includes(`id:"${id}"`)) go({ q: `${q} id:${id}`.trim(), sort: "" });
  }

  const file = h("input", { type: "file", accept: "image/*,.heic,.heif,.avif", hidden: true, change: () => file.files[0] && searchBy(file.files[0]) });
  byId("choose").addEventListener("click", () => file.click());
  form.append(file);

  addEventListener("paste", (event) => {
    const pasted = [...event.clipboardData.files].find((each) => each.type.startsWith("image/"));
    if (!pasted) return;
    event.preventDefault();
    searchBy(pasted);
  });

  const DRAGGED = "application/x-pixseek";
  const idOf = (link) => (link.startsWith(`${base}image/`) ? decodeURIComponent(new URL(link).pathname.split("/").pop()) : "");
  const takes = (event) => ["Files", DRAGGED, "text/uri-list"].some((each) => event.dataTransfer.types.includes(each));
  let inside = 0;
  const dragging = (isOn) => document.body.classList.toggle("dragging", isOn);
  byId("grid").addEventListener("dragstart", (event) => {
    const tile = event.target.closest(".tile");
    if (!tile) return;
    event.dataTransfer.setData(DRAGGED, tile.dataset.id);
    event.dataTransfer.effectAllowed = "copyLink";
  });
  addEventListener("dragenter", (event) => takes(event) && (event.preventDefault(), inside++, dragging(true)));
  addEventListener("dragover", (event) => takes(event) && event.preventDefault());
  addEventListener("dragleave", (event) => takes(event) && (inside = Math.max(0, inside - 1)) === 0 && dragging(false));
  addEventListener("dragend", () => dragging((inside = 0) > 0));
  addEventListener("drop", (event) => {
    dragging((inside = 0) > 0);
    if (!takes(event)) return;
    event.preventDefault();
    const { files } = event.dataTransfer;
    const link = event.dataTransfer.getData("text/uri-list").split("\n")[0].trim();
    const id = event.dataTransfer.getData(DRAGGED) || idOf(link);
    // A picture of this page that is let go over the results was not meant for the box.
    if (id) return (event.target.closest("#header, #bar") || app.state.now.image) && like(id);
    if (files.length) return searchBy(files[0]);
    app.say(t("drop_files"), { wrong: true });
  });

  keys.push(
    { key: "/ Ctrl+k", context: "all", text: "key_box", run: () => (app.close?.(), box.focus(), box.select()) },
    { key: "s", context: "grid", text: "similar", run: () => (app.list?.length ? like(app.list.id(app.grid.current)) : false) },
  );

  return { focus: () => box.focus(), like, searchBy, explain, follow };
}
