// The panel about an image: what was said of it, which can be changed; why it was found; facts.

import { button, h } from "./dom.js";
import { mayWrite } from "./state.js";
import { tagsOf } from "./saying.js";
import { t } from "./texts.js";

export const nameOf = (record) => (record.uri || record.id).split("/").pop();
export const altOf = (record) => record.caption || t("photo_named", { name: nameOf(record) });
const tagQuery = (tag) => `tag:="${tag.replace(/["\\]/g, "\\$&")}"`;
const stars = (n) => [1, 2, 3, 4, 5].map((each) => (each <= n ? "★" : "☆"));

/**
 * @param {{go(q: string): void, say(what: Record<string, any>): void, rate(n: number): void,
 *   copy(text: string): void, tags(): Promise<string[]>}} act
 */
export function createFacts(act) {
  const element = h("aside", { class: "panel", "aria-label": t("facts_panel"), tabindex: "-1" });
  const known = h("datalist", { id: "known-tags" });

  const leave = (event, then) => {
    if (event.key !== "Escape") return;
    event.preventDefault();
    then?.();
    element.focus();
  };
  const search = (text, q) => h("a", { href: "", click: (event) => (event.preventDefault(), act.go(q)) }, h("bdi", {}, text));

  function rating(r) {
    const n = Math.max(0, Number(r.rating) || 0);
    if (!mayWrite) return n > 0 && h("p", { class: "stars", role: "img", "aria-label": t("rated", { n }) }, ...stars(n));
    return h("div", { class: "stars", role: "group", "aria-label": t("rating") }, ...stars(n).map((star, i) =>
      h("button", { type: "button", "aria-pressed": String(i + 1 === n), "aria-label": t("rated", { n: i + 1 }), click: () => act.rate(i + 1 === n ? 0 : i + 1) }, star)));
  }

  function caption(r) {
    const shown = h("p", { class: "with-tool" }, h("bdi", { class: r.caption ? null : "soft" }, r.caption || t("no_caption")));
    if (!mayWrite) return r.caption && shown;
    const edit = () => {
      const field = h("textarea", { rows: "3", dir: "auto", "aria-label": t("caption"), maxlength: "10000" });
      field.value = r.caption || "";
      const back = () => form.replaceWith(shown);
      const form = h("form", { class: "edit", submit: (event) => (event.preventDefault(), act.say({ caption: field.value.trim() }), element.focus()) },
        field, h("button", { class: "main" }, t("caption_save")), button("close", t("cancel"), back));
      field.addEventListener("keydown", (event) => {
        leave(event, back);
        if (event.key === "Enter" && !event.shiftKey && !event.isComposing) (event.preventDefault(), form.requestSubmit());
      });
      shown.replaceWith(form);
      field.select();
    };
    shown.append(button("edit", t("caption_edit"), edit, { id: "edit-caption" }));
    return shown;
  }

  function tags(r) {
    const list = h("ul", { class: "tags" }, ...(r.tags || []).map((tag) =>
      h("li", { class: "chip" }, search(tag, tagQuery(tag)), mayWrite && button("close", t("remove", { what: tag }), () => act.say({ remove: [tag] })))));
    if (!mayWrite) return r.tags && list;
    const field = h("input", { id: "add-tag", list: "known-tags", placeholder: t("tag_add"), "aria-label": t("tag_add"), enterkeyhint: "done", maxlength: "500", autocomplete: "off",
      keydown: leave, focus: () => act.tags().then((all) => known.replaceChildren(...all.map((value) => h("option", { value })))) });
    const form = h("form", { class: "add", submit: (event) => {
      event.preventDefault();
      const add = tagsOf(field.value);
      if (add.length) act.say({ add });
    } }, field);
    return h("div", {}, list, form, known);
  }

  /** @param {string[][]} facts name, text, query, address */
  const table = (facts) => h("dl", {}, ...facts.flatMap(([name, text, q, href]) => [
    h("dt", {}, name),
    h("dd", {}, q ? search(text, q) : href ? h("a", { href, target: "_blank", rel: "noreferrer noopener" }, h("bdi", {}, text)) : h("bdi", {}, text)),
  ]));

  return {
    element,
    /** @param {any} r the record @param {any} about the facts, if they are here @param {boolean} isAway */
    show(r, about, isAway) {
      const isOpen = element.querySelector("details")?.open;
      const path = r.path || r.uri;
      const active = element.contains(document.activeElement) && document.activeElement;
      const held = active && (active.id ? `#${active.id}` : `[aria-label="${CSS.escape(active.ariaLabel || "")}"]`);
      element.replaceChildren(...[
        h("h2", {}, h("bdi", {}, nameOf(r))),
        isAway && h("p", { class: "note" }, t("file_away")),
        caption(r), rating(r), tags(r),
        about?.why.length > 0 && h("section", {}, h("h3", {}, t("why")), h("ul", { class: "why" }, ...about.why.map((each) => h("li", {}, h("bdi", {}, each))))),
        about && table(about.facts),
        path && h("p", { class: "with-tool path" }, h("bdi", {}, path), button("copy", t("copy_path"), () => act.copy(path))),
        about?.more.length > 0 && h("details", { open: isOpen }, h("summary", {}, t("all_metadata", { n: about.more.length })), table(about.more)),
      ].filter(Boolean));
      if (held) (element.querySelector(held) || element).focus();
    },
  };
}
