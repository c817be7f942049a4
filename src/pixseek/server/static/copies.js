// Copies and pictures that are alike, side by side with what differs.

import { get, preview } from "./api.js";
import { button, h } from "./dom.js";
import { altOf, nameOf } from "./facts.js";
import { ofLibrary } from "./state.js";
import { dateText, number, t } from "./texts.js";
import { failed } from "./toast.js";

/** What is compared: its text, and a number by which the best is known. */
const FACTS = {
  pixels: [(r) => (r.width ? t("size_px", { width: r.width, height: r.height }) : ""), (r) => (r.width || 0) * (r.height || 0)],
  file: [(r) => t("kilobytes", { n: Math.round((r.size || 0) / 1000) }), (r) => r.size || 0],
  taken: [(r) => (r.taken_at ? dateText(r.taken_at, r.taken_precision) : t("no_date"))],
  format: [(r) => (r.media || "").split("/").pop().toUpperCase()],
  folder: [(r) => (r.uri || "").slice(0, (r.uri || "").lastIndexOf("/"))],
};

/** @param {any} app @param {(ids: string[]) => void} choose */
export function createCopies(app, choose) {
  const body = h("div", { class: "groups" });
  const dialog = h("dialog", { id: "copies", class: "sheet", "aria-labelledby": "copies-title" },
    h("header", {}, h("h2", { id: "copies-title" }, t("copies")), button("close", t("close"), () => dialog.close())), body);
  document.body.append(dialog);

  function groupOf(group) {
    const all = group.records;
    const differs = Object.entries(FACTS).filter(([, [text]]) => new Set(all.map(text)).size > 1);
    const worth = (r) => FACTS.pixels[1](r) * 1e10 + FACTS.file[1](r);
    const best = all.reduce((one, other) => (worth(other) > worth(one) ? other : one));
    const card = (r) => h("li", {},
      h("a", { href: "", click: (event) => (event.preventDefault(), dialog.close(), app.open(r.id)) }, h("img", { src: preview(r, app.state.now.library), alt: altOf(r), loading: "lazy" })),
      h("bdi", {}, nameOf(r)),
      h("dl", {}, ...differs.flatMap(([name, [text, value]]) => [
        h("dt", {}, t(name)), h("dd", { class: value && value(r) === Math.max(...all.map(value)) ? "best" : null }, h("bdi", {}, text(r)))])));
    return h("section", {}, h("h3", {}, t(`copies_${group.exact ? "exact" : group.kind}`)),
      !differs.length && h("p", { class: "soft" }, t("copies_equal")),
      h("ul", {}, ...all.map(card)),
      button("check", t("copies_choose"), () => (dialog.close(), choose(all.filter((r) => r !== best).map((r) => r.id))), { word: true }));
  }

  return {
    /** Show the groups that hold any of these images. @param {string[]} ids */
    async open(ids) {
      body.replaceChildren(h("p", { class: "soft", role: "status" }, t("copies_wait")));
      dialog.showModal();
      try {
        const wanted = new Set(ids);
        const found = (await get("duplicates", ofLibrary(app.state.now), { key: "copies" })).filter((group) => group.records.some((r) => wanted.has(r.id)));
        body.replaceChildren(...(found.length ? found.slice(0, 200).map(groupOf) : [h("p", {}, t("copies_none"))]));
      } catch (error) {
        dialog.close();
        failed(error);
      }
    },
  };
}
