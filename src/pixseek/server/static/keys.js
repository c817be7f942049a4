// One table of all keys. Each part of the page adds its own, and `?` shows them.

/**
 * @typedef {object} Key
 * @property {string} key as in KeyboardEvent.key, with "Ctrl+" or "Shift+" before it; several with spaces
 * @property {"grid"|"viewer"|"all"} context where it works
 * @property {string} text key of its text
 * @property {(event: KeyboardEvent) => void|false} run false leaves the key to the browser
 * @property {boolean} [hidden] whether the list of keys leaves it out
 */

/** @type {Key[]} */
export const keys = [];

/** @type {() => "grid"|"viewer"|"none"} where the user is; the viewer changes it */
let context = () => "grid";

/** @param {() => "grid"|"viewer"|"none"} where */
export const setContext = (where) => void (context = where);

const TYPING = "input:not([type=range], [type=checkbox], [type=radio]), textarea, select, [contenteditable]";

/** @param {KeyboardEvent} event */
function nameOf(event) {
  const shifted = event.shiftKey && (event.key.length > 1 || event.ctrlKey);
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  return `${event.ctrlKey || event.metaKey ? "Ctrl+" : ""}${shifted ? "Shift+" : ""}${key}`;
}

addEventListener("keydown", (event) => {
  const target = (event.target);
  if (event.defaultPrevented || event.isComposing || event.altKey) return;
  if (target.matches?.(TYPING)) return;
  const name = nameOf(event);
  const here = context();
  const found = keys.find((each) => (each.context === "all" || each.context === here) && each.key.split(" ").includes(name));
  if (found && found.run(event) !== false) event.preventDefault();
});
