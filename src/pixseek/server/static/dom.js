// Making elements. Texts become text nodes: nothing from the server is ever read as markup.

/**
 * @param {string} tag
 * @param {Record<string, any>} [given] attributes; functions are listeners; false and null are left out
 * @param {...(Node|string|null|false|undefined)} children
 * @returns {any}
 */
export function h(tag, given = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value != null) made.setAttribute(name, value);
  }
  made.append(...children.filter((each) => each != null && each !== false));
  return made;
}

/** @param {string} name an icon of icons.svg */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

/**
 * A button with an icon; its name is shown as a tooltip, and as a word if `word` is true.
 * @param {string} name @param {string} label @param {(event: Event) => void} run
 */
export function button(name, label, run, { word = false, ...more } = {}) {
  return h(
    "button",
    { type: "button", class: "tool", title: label, "aria-label": word ? null : label, click: run, ...more },
    icon(name),
    word && h("span", {}, label),
  );
}

/** @param {string} id @returns {any} */
export const byId = (id) => document.getElementById(id);

/** Whether the user wants little motion. */
export const isCalm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/** @template {any[]} A @param {(...args: A) => void} run @param {number} ms */
export function debounced(run, ms) {
  let timer = 0;
  return (...args) => {
    clearTimeout(timer);
    timer = setTimeout(() => run(...args), ms);
  };
}
