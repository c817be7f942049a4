// Counts of values among what was found; a click makes the search narrower, another takes it back.

import { get } from "./api.js";
import { quoted } from "./chips.js";
import { byId, h } from "./dom.js";
import { ofLibrary } from "./state.js";
import { number, t } from "./texts.js";

/** The filter that finds the images counted, as search.facets.filter_text. @param {string} field @param {string} value */
function filterOf(field, value) {
  const wild = /[*?]/.test(value);
  const sign = field === "folder" ? (wild ? "^=" : "") : field === "camera" || wild ? "=" : "";
  return `${field}:${sign}${quoted(value)}`;
}

/** @param {any} app */
export function createFacets(app) {
  const panel = byId("facets");
  const toggle = byId("filters");
  const sheet = matchMedia("(max-width: 700px)");

  toggle.setAttribute("role", "button");
  toggle.addEventListener("click", (event) => {
    event.preventDefault();
    app.state.go({ facets: app.state.now.facets ? "" : "1", image: "" }, { replace: true });
  });
  toggle.addEventListener("keydown", (event) => event.key === " " && (event.preventDefault(), toggle.click()));

  async function show() {
    const { q, facets, dates, example } = app.state.now;
    const isOpen = Boolean(facets);
    toggle.setAttribute("aria-expanded", String(isOpen));
    document.body.classList.toggle("faceted", isOpen);
    if (panel.hidden === isOpen) {
      panel.hidden = !isOpen;
      app.grid.relayout();
    }
    if (!isOpen) return;
    // An example is not counted by: its neighbours have no end.
    const found = await get("facets", { q, dates, ...ofLibrary(app.state.now) }, { key: "facets", quiet: true }).catch(() => ({}));
    /** @type {Map<string, any>} */
    const chosen = new Map(app.parts.map((part) => [plain(part.text), part]));
    const closed = new Set([...panel.querySelectorAll("details:not([open])")].map((each) => each.dataset.field));
    const focused = (document.activeElement)?.dataset?.filter;
    panel.replaceChildren(
      h("h2", {}, t("filters"), sheet.matches && h("button", { type: "button", class: "tool", click: () => toggle.click() }, t("close"))),
      ...Object.entries(found)
        .filter(([, counts]) => Object.keys(counts).length)
        .map(([field, counts]) =>
          h(
            "details",
            { open: !closed.has(field), "data-field": field },
            h("summary", {}, t(`facet_${field}`)),
            h("ul", {}, ...Object.entries(counts).map(([value, n]) => row(field, value, n, chosen))),
          ),
        ),
    );
    if (focused) for (const each of panel.querySelectorAll("[data-filter]")) if (each.dataset.filter === focused) each.focus();
  }

  /** @param {string} text without quotation marks, as people write filters */
  const plain = (text) => text.replace(/["=^]/g, "");

  function row(field, value, n, chosen) {
    const filter = filterOf(field, value);
    const part = chosen.get(plain(filter));
    const change = () => app.state.go({ q: part ? part.without : `${app.state.now.q} ${filter}`.trim(), image: "" });
    return h(
      "li",
      {},
      h(
        "button",
        { type: "button", "aria-pressed": String(Boolean(part)), "data-filter": filter, click: change },
        h("bdi", {}, value === "none" ? t("facet_none") : value),
        h("span", {}, number(n)),
      ),
    );
  }

  app.events.addEventListener("parts", show);
  app.state.addEventListener("change", (event) => {
    if (event.detail.before.facets !== app.state.now.facets) show();
  });
  return { show };
}
