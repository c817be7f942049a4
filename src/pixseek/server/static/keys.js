// One table of all keys. Each part of the page adds its own, and `?` shows them.

/**
 * @typedef {object} Key
 * @property {string} key as in KeyboardEvent.key, with "Ctrl+" or "Shift+" before it; several with spaces
 * @property {"grid"|"viewer"|"all"} context where it works
 * @property {string} text key of its text
 * @property {(event: KeyboardEvent) => void|false} run false leaves the key to the browser
 */

/** @type {Key[]} */
export const keys = [];

let context = () => "grid";

/** Say where the user is. @param {() => "grid"|"viewer"|"none"} where */
export const setContext = (where) => void (context = where);

addEventListener("keydown", (event) => {
	const { key, ctrlKey, metaKey, shiftKey, altKey, target } = event;
	if (event.defaultPrevented || event.isComposing || altKey) return;
	if (target.matches?.("input:not([type=range], [type=checkbox], [type=radio]), textarea, select")) return;
	// The arrows are a slider's own.
	if (key[1] && target.matches?.("input")) return;
	const control = ctrlKey || metaKey;
	const name = (control ? "Ctrl+" : "") + (shiftKey && (key[1] || control) ? "Shift+" : "") + (key[1] ? key : key.toLowerCase());
	const found = keys.find((each) => ["all", context()].includes(each.context) && each.key.split(" ").includes(name));
	if (found && found.run(event) !== false) event.preventDefault();
});
