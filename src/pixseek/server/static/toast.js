// Short messages that go by themselves.

import { button, h } from "./dom.js";
import { t } from "./texts.js";

const all = h("div", { id: "toasts", role: "status", popover: "manual" });

/** A dialog makes all outside of it deaf, so messages stand in the one on top. */
function place() {
	([...document.querySelectorAll("dialog[open]")].pop() || document.body).append(all);
	all.showPopover();
}
// A dialog that closes would take them with it.
document.addEventListener("close", () => all.firstChild && place(), true);

/** @param {string|(string|Node)[]} text @param {{wrong?: boolean, action?: string, run?: () => void}} [how] action: the word of a button */
export function toast(text, { wrong = false, action, run } = {}) {
	const said = h("span", {}, ...[text].flat());
	const old = [...all.children].find((each) => each.firstChild.textContent === said.textContent);
	place();
	// The one that offers to do something is not replaced by one that does not.
	if (old?.children[2] && !run) return;
	old?.remove();
	const gone = () => {
		made.remove();
		if (!all.children.length && all.isConnected) all.hidePopover();
	};
	const made = h("div", { class: wrong ? "toast wrong" : "toast", role: wrong && "alert" }, said,
		run && h("button", { type: "button", click: () => (gone(), run()) }, action), button("close", t("close"), gone));
	all.append(made);
	if (all.children.length > 3) all.firstChild.remove();
	if (!wrong) setTimeout(gone, run ? 9000 : 4000);
}

/** The server answers again: what said that it does not is no longer true. */
export function answers() {
	for (const each of [...all.children]) if (each.firstChild.textContent.startsWith(t("server_away"))) each.lastChild.click();
}

export const failed = (error) => toast(error.all || error.message, { wrong: true });
