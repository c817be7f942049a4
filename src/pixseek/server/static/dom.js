// Making elements. Texts become text nodes: nothing from the server is ever read as markup.

/** An element; functions among its attributes are listeners, false and null are left out. */
export function h(tag, given = {}, ...children) {
	const made = document.createElement(tag);
	for (const [name, value] of Object.entries(given))
		if (typeof value === "function") made.addEventListener(name, value);
		else if (value !== false && value != null) made.setAttribute(name, value === true ? "" : value);
	made.append(...children.filter((each) => each != null && each !== false));
	return made;
}

/** An icon of icons.svg. @param {string} name */
export function icon(name) {
	const [svg, use] = ["svg", "use"].map((tag) => document.createElementNS("http://www.w3.org/2000/svg", tag));
	svg.setAttribute("class", "icon");
	svg.ariaHidden = "true";
	use.setAttribute("href", `#i-${name}`);
	svg.append(use);
	return svg;
}

/** A button with an icon; its label is a tooltip, or a word if `word` is true. */
export const button = (name, label, click, { word = false, ...more } = {}) =>
	h("button", { type: "button", class: "tool", title: label, "aria-label": word ? null : label, click, ...more }, icon(name), word && h("span", {}, label));

export const byId = (id) => document.getElementById(id);
export const on = (what, names, run, how) => names.split(" ").forEach((name) => what.addEventListener(name, run, how));

/** Whether the user wants little motion. */
export const isCalm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/** A function that runs when it was not called for so long. */
export function debounced(run, ms) {
	let timer;
	return (...args) => {
		clearTimeout(timer);
		timer = setTimeout(run, ms, ...args);
	};
}
