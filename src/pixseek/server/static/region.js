// Draw a rectangle on the picture and search by what is in it, by pointer or by keys.

import { button, h } from "./dom.js";
import { t } from "./texts.js";

/** The smallest side, and the step of the arrow keys, as fractions of the picture. */
const LEAST = 0.03;
const STEP = 0.02;

const within = (value, low, high) => Math.max(low, Math.min(high, value));

/**
 * @param {any} stage see stage.js
 * @param {(box: number[]) => void} search called with x, y, width and height as fractions
 */
export function createRegion(stage, search) {
  let box = [0, 0, 1, 1];
  const frame = h("div", { class: "frame" });
  const hint = h("p", { class: "hint" }, t("region_hint"));
  const done = () => {
    const found = box;
    end();
    search(found);
  };
  const element = h("div", { class: "region", role: "application", tabindex: "0", "aria-label": t("region_hint") }, frame);
  const tools = h("div", { class: "region-tools" }, hint, button("search", t("region_search"), done, { word: true }), button("close", t("cancel"), () => end()));

  function draw() {
    const [x, y, wide, high] = box;
    Object.assign(frame.style, { left: `${x * 100}%`, top: `${y * 100}%`, width: `${wide * 100}%`, height: `${high * 100}%` });
  }

  function begin() {
    if (element.isConnected) return end();
    box = [0.25, 0.25, 0.5, 0.5];
    draw();
    stage.picture.append(element);
    stage.element.append(tools);
    element.focus();
  }

  /** Stop drawing. @returns {boolean} whether something was drawn */
  function end() {
    if (!element.isConnected) return false;
    const hadFocus = element.contains(document.activeElement) || tools.contains(document.activeElement);
    element.remove();
    tools.remove();
    if (hadFocus) stage.element.focus();
    return true;
  }

  /** @type {number[]|null} where the pointer went down, as fractions */
  let from = null;
  const at = (event) => {
    const on = element.getBoundingClientRect();
    return [within((event.clientX - on.left) / on.width, 0, 1), within((event.clientY - on.top) / on.height, 0, 1)];
  };
  element.addEventListener("pointerdown", (event) => {
    element.setPointerCapture(event.pointerId);
    from = at(event);
  });
  element.addEventListener("pointermove", (event) => {
    if (!from) return;
    const to = at(event);
    const [left, top] = [0, 1].map((n) => Math.min(from[n], to[n]));
    const [wide, high] = [0, 1].map((n) => Math.max(LEAST, Math.abs(from[n] - to[n])));
    box = [Math.min(left, 1 - wide), Math.min(top, 1 - high), wide, high];
    draw();
  });
  for (const name of ["pointerup", "pointercancel"]) element.addEventListener(name, () => (from = null));

  element.addEventListener("keydown", (event) => {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (way) {
      const n = way[0] ? 0 : 1;
      if (event.shiftKey) box[n + 2] = within(box[n + 2] + way[n] * STEP, LEAST, 1 - box[n]);
      else box[n] = within(box[n] + way[n] * STEP, 0, 1 - box[n + 2]);
      draw();
    } else if (event.key === "Enter") done();
    else if (event.key === "Escape") end();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });

  return { begin, end };
}
