// The scrubber at the side of images by date: years and months, to drag, to click and by keys.

import { byId, debounced, h } from "./dom.js";
import { monthName, t } from "./texts.js";

/** Pixels between the labels of two years at least. */
const APART = 18;

/** @param {any} app */
export function createTimeline(app) {
  const said = h("span", { class: "month-now", "aria-hidden": "true" });
  const thumb = h("i", {}, said);
  const years = h("div", { class: "years", "aria-hidden": "true" });
  const track = h("div", { id: "timeline", role: "slider", tabindex: 0, "aria-orientation": "vertical", "aria-label": t("timeline"), hidden: true }, years, thumb);
  byId("main").append(track);
  /** @type {{key: string, top: number}[]} the months, in order */
  let months = [];
  let now = 0;
  let dragging = false;

  const gridTop = () => byId("grid").getBoundingClientRect().top + scrollY;
  const whole = () => Math.max(1, document.documentElement.scrollHeight - innerHeight);

  function lay() {
    const { list, grid } = app;
    months = list?.isDated ? grid.rows.filter((row) => row.title).map((row) => ({ key: row.key, top: row.top })) : [];
    track.hidden = months.length < 2;
    if (track.hidden) return;
    track.setAttribute("aria-valuemin", "0");
    track.setAttribute("aria-valuemax", String(months.length - 1));
    const high = track.clientHeight;
    const height = byId("grid").offsetHeight || 1;
    years.replaceChildren();
    let last = -APART;
    let year = "";
    for (const month of months) {
      const y = (month.top / height) * high;
      const named = month.key.slice(0, 4) || "–";
      if (named !== year && y - last >= APART && y < high - 8) {
        const label = h("span", {}, named);
        label.style.top = `${y}px`;
        years.append(label);
        last = y;
      }
      year = named;
    }
    follow();
  }

  /** Put the thumb where the window is. */
  function follow() {
    if (track.hidden) return;
    const y = scrollY - gridTop() + byId("header").offsetHeight + 1;
    now = Math.max(0, months.findLastIndex((each) => each.top <= y));
    const name = monthName(months[now]?.key);
    thumb.style.top = `${Math.min(1, scrollY / whole()) * 100}%`;
    said.textContent = name;
    track.setAttribute("aria-valuenow", String(now));
    track.setAttribute("aria-valuetext", name);
  }

  const rest = debounced(() => track.classList.remove("moving"), 900);
  addEventListener("scroll", () => {
    if (track.hidden) return;
    track.classList.add("moving");
    rest();
    follow();
  }, { passive: true });

  /** @param {PointerEvent} event */
  function drag(event) {
    const box = track.getBoundingClientRect();
    scrollTo(0, Math.max(0, Math.min(1, (event.clientY - box.top) / box.height)) * whole());
  }
  track.addEventListener("pointerdown", (event) => {
    dragging = true;
    track.setPointerCapture(event.pointerId);
    track.classList.add("dragged");
    drag(event);
  });
  track.addEventListener("pointermove", (event) => dragging && drag(event));
  for (const end of ["pointerup", "pointercancel"])
    track.addEventListener(end, () => {
      dragging = false;
      track.classList.remove("dragged");
    });

  /** @param {number} i */
  function jump(i) {
    const month = months[Math.max(0, Math.min(months.length - 1, i))];
    if (month) scrollTo(0, month.top + gridTop() - byId("header").offsetHeight);
    follow();
  }
  const year = (step) => {
    const here = months[now]?.key.slice(0, 4);
    let i = now;
    while (months[i] && months[i].key.slice(0, 4) === here) i += step;
    return i;
  };
  track.addEventListener("keydown", (event) => {
    const to = {
      ArrowUp: () => now - 1, ArrowLeft: () => now - 1, ArrowDown: () => now + 1, ArrowRight: () => now + 1,
      PageUp: () => year(-1), PageDown: () => year(1), Home: () => 0, End: () => months.length - 1,
    }[event.key];
    if (!to) return;
    event.preventDefault();
    event.stopPropagation();
    jump(to());
  });

  app.events.addEventListener("layout", lay);
  addEventListener("resize", debounced(lay, 100));
  return { lay };
}
