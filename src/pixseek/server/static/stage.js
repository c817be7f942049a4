// One picture to look at: from its placeholder to all its pixels, moved and zoomed by any device.

import { preview } from "./api.js";
import { h, isCalm } from "./dom.js";
import { placeholder } from "./thumbhash.js";

/** Sizes that the server makes besides the stored preview, in pixels of the longer side. */
const SIZES = [1600, 4096, 8192];
const STORED = 384;
/** A picture is enlarged at most so much to fill the window, and shown at most so many times larger. */
const ENLARGED = 2;
const CLOSEST = 4;
/** Pixels that a finger moves to go to the next picture, or to close. */
const SWIPE = 60;

/** The size to ask for. @param {any} record @param {number} pixels of the screen, longer side */
function sizeFor(record, pixels) {
  const longest = Math.max(record.width || 0, record.height || 0) || 8192;
  const wanted = Math.min(longest, pixels * 0.85);
  return longest <= STORED ? 0 : SIZES.find((each) => each >= wanted) || 8192;
}

/**
 * @param {{library(): string, swiped(step: -1|0|1): void, zoomed(scale: number): void, away(): void}} on
 *   swiped: to the next (1), the previous (-1), or closed (0); away: the file can't be shown
 */
export function createStage(on) {
  const sharp = h("img", { class: "sharp", decoding: "async", draggable: "false", alt: "" });
  const soft = h("img", { draggable: "false" });
  const picture = h("div", { class: "picture" }, soft, sharp);
  const element = h("figure", { class: "stage", tabindex: "-1" }, picture, h("div", { class: "busy", "aria-hidden": "true" }));
  /** @type {any} */
  let record = null;
  let size = 0; // asked for
  let shown = 0; // is there
  let fit = { width: 0, height: 0 };
  let scale = 1;
  let x = 0;
  let y = 0;
  let slow = 0;
  let sharper = 0;

  const alive = () => element.isConnected;

  function layout() {
    if (!record) return;
    const { clientWidth: wide, clientHeight: high } = element;
    const width = record.width || soft.naturalWidth || 1;
    const height = record.height || soft.naturalHeight || 1;
    const factor = Math.min(wide / width, high / height, ENLARGED);
    fit = { width: width * factor, height: height * factor };
    picture.style.width = `${fit.width}px`;
    picture.style.height = `${fit.height}px`;
    move();
  }

  /** Put the picture where it belongs, and ask for the pixels that it needs. */
  function move(glide = false) {
    const room = (inner, outer) => Math.max(0, (inner * scale - outer) / 2);
    const [right, down] = [room(fit.width, element.clientWidth), room(fit.height, element.clientHeight)];
    x = Math.max(-right, Math.min(right, x));
    y = Math.max(-down, Math.min(down, y));
    picture.classList.toggle("glides", glide && !isCalm());
    picture.style.transform = `translate(-50%, -50%) translate(${x}px, ${y}px) scale(${scale})`;
    element.classList.toggle("zoomed", scale > 1.01);
    on.zoomed(scale);
    clearTimeout(sharper);
    sharper = setTimeout(sharpen, shown ? 180 : 0);
  }

  function sharpen() {
    if (!record || !alive()) return;
    const needed = sizeFor(record, Math.max(fit.width, fit.height) * scale * devicePixelRatio);
    if (needed <= size) return;
    size = needed;
    const of = record;
    const image = new Image();
    clearTimeout(slow);
    slow = setTimeout(() => element.classList.add("waits"), 700);
    const over = () => {
      if (of !== record || size !== needed) return false;
      clearTimeout(slow);
      element.classList.remove("waits");
      return true;
    };
    image.src = preview(record, on.library(), needed);
    image.decode().then(
      () => {
        if (!over()) return;
        sharp.src = image.src;
        picture.classList.add("is-sharp");
        shown = needed;
        const longest = Math.max(record.width, record.height);
        if (Math.max(image.naturalWidth, image.naturalHeight) < Math.min(needed, longest) * 0.9) on.away();
      },
      () => over() && on.away(),
    );
  }

  /** Zoom so that what is under a point stays there. @param {number} to @param {number} [atX] @param {number} [atY] */
  function zoom(to, atX, atY, glide = false) {
    const box = element.getBoundingClientRect();
    const px = (atX ?? box.left + box.width / 2) - box.left - box.width / 2;
    const py = (atY ?? box.top + box.height / 2) - box.top - box.height / 2;
    const most = Math.max(CLOSEST, ((record?.width || 0) / (fit.width || 1)) * 2);
    const next = Math.max(1, Math.min(most, to));
    x = px - ((px - x) * next) / scale;
    y = py - ((py - y) * next) / scale;
    scale = next;
    move(glide);
  }

  /** Show all of it, or its pixels one to one. @param {number} [atX] @param {number} [atY] */
  function toggle(atX, atY) {
    const one = (record?.width || 0) / (fit.width || 1) / devicePixelRatio;
    zoom(scale > 1.01 ? 1 : Math.max(2, one), atX, atY, true);
  }

  // ------------------------------------------------------------ pointers

  /** @type {Map<number, {x: number, y: number}>} */
  const points = new Map();
  let from = { x: 0, y: 0, at: 0 };
  let tapped = { x: 0, y: 0, at: 0 };
  let pinched = false;

  const spread = () => {
    const [a, b] = [...points.values()];
    return { far: Math.hypot(a.x - b.x, a.y - b.y), x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 };
  };

  element.addEventListener("pointerdown", (event) => {
    if (event.button || (event.target).closest("button, .region")) return;
    element.setPointerCapture(event.pointerId);
    points.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (points.size === 1) {
      from = { x: event.clientX, y: event.clientY, at: event.timeStamp };
      pinched = false;
    } else pinched = true;
  });
  element.addEventListener("pointermove", (event) => {
    const point = points.get(event.pointerId);
    if (!point) return;
    const before = points.size > 1 ? spread() : null;
    const [dx, dy] = [event.clientX - point.x, event.clientY - point.y];
    [point.x, point.y] = [event.clientX, event.clientY];
    if (before) {
      const after = spread();
      x += after.x - before.x;
      y += after.y - before.y;
      zoom((scale * after.far) / Math.max(1, before.far), after.x, after.y);
    } else if (scale > 1.01) {
      x += dx;
      y += dy;
      move();
    } else if (event.pointerType !== "mouse" && !pinched) {
      picture.classList.remove("glides");
      const [right, down] = [event.clientX - from.x, Math.max(0, event.clientY - from.y)];
      const shift = Math.abs(right) > down ? `${right}px, 0px` : `0px, ${down}px`;
      picture.style.transform = `translate(-50%, -50%) translate(${shift})`;
    }
  });
  /** @param {PointerEvent} event */
  const up = (event) => {
    if (!points.delete(event.pointerId) || points.size) return;
    const [dx, dy] = [event.clientX - from.x, event.clientY - from.y];
    if (pinched) return;
    if (event.pointerType !== "mouse" && Math.hypot(dx, dy) < 12 && event.timeStamp - from.at < 300) {
      if (event.timeStamp - tapped.at < 320 && Math.hypot(event.clientX - tapped.x, event.clientY - tapped.y) < 40) {
        tapped.at = 0;
        toggle(event.clientX, event.clientY);
      } else tapped = { x: event.clientX, y: event.clientY, at: event.timeStamp };
    }
    if (scale > 1.01 || event.pointerType === "mouse") return;
    if (event.type === "pointerup") {
      if (Math.abs(dx) > SWIPE && Math.abs(dx) > Math.abs(dy)) return on.swiped(dx < 0 ? 1 : -1);
      if (dy > 1.6 * SWIPE && dy > Math.abs(dx)) return on.swiped(0);
    }
    move(true);
  };
  element.addEventListener("pointerup", up);
  element.addEventListener("pointercancel", up);
  element.addEventListener("dblclick", (event) => {
    // Fingers are counted above: a browser's own double tap would zoom twice.
    if ((event).sourceCapabilities?.firesTouchEvents) return;
    if (!((event.target).closest("button, .region"))) toggle(event.clientX, event.clientY);
  });
  element.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const lines = event.deltaMode ? 16 : 1;
      zoom(scale * Math.exp(-event.deltaY * lines * (event.ctrlKey ? 0.01 : 0.002)), event.clientX, event.clientY);
    },
    { passive: false },
  );
  new ResizeObserver(layout).observe(element);

  return {
    element,
    picture,
    toggle,
    /** @param {number} by a factor */
    zoomBy: (by) => zoom(scale * by, undefined, undefined, true),
    /** Move the window over a zoomed picture. @param {number} right @param {number} down */
    pan(right, down) {
      x -= right * 80;
      y -= down * 80;
      move(true);
    },
    reset() {
      scale = 1;
      x = y = 0;
      move();
    },
    get scale() {
      return scale;
    },
    /** Show a picture. @param {any} next its record @param {string} alt */
    show(next, alt) {
      const isSame = record?.id === next.id && record?.digest === next.digest;
      record = next;
      soft.alt = alt;
      if (isSame) return;
      size = shown = 0;
      scale = 1;
      x = y = 0;
      clearTimeout(slow);
      element.classList.remove("waits");
      picture.classList.remove("is-sharp");
      sharp.removeAttribute("src");
      picture.querySelector("canvas")?.remove();
      const canvas = next.placeholder && placeholder(next.placeholder);
      if (canvas) picture.prepend(canvas);
      soft.src = preview(next, on.library());
      layout();
    },
    /** Ask for a picture that may be shown next. @param {any} near its record */
    preload(near) {
      if (!near || near.missing) return;
      new Image().src = preview(near, on.library());
      const wide = Math.max(element.clientWidth, element.clientHeight) * devicePixelRatio;
      const wanted = sizeFor(near, wide);
      if (wanted) new Image().src = preview(near, on.library(), wanted);
    },
    clear() {
      record = null;
      clearTimeout(slow);
      sharp.removeAttribute("src");
      soft.removeAttribute("src");
    },
  };
}
