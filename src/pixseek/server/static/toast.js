// Short messages that go by themselves, said to those who hear the page.

import { button, h } from "./dom.js";
import { t } from "./texts.js";

const region = h("div", { id: "toasts", role: "status", popover: "manual" });

/**
 * @param {string} text
 * @param {{wrong?: boolean, action?: string, run?: () => void}} [how] action: the word of a button
 */
export function toast(text, { wrong = false, action, run } = {}) {
  // A dialog makes all outside of it deaf, so the message goes into the one on top.
  const host = [...document.querySelectorAll("dialog[open]")].pop() || document.body;
  if (region.parentNode !== host) host.append(region);
  if (!region.matches(":popover-open")) region.showPopover();
  const gone = () => {
    made.remove();
    if (!region.children.length && region.matches(":popover-open")) region.hidePopover();
  };
  const made = h("div", { class: wrong ? "toast wrong" : "toast", role: wrong ? "alert" : null }, h("span", {}, text));
  if (run) made.append(h("button", { type: "button", click: () => (gone(), run()) }, action));
  made.append(button("close", t("close"), gone));
  while (region.children.length > 2) region.firstChild?.remove();
  region.append(made);
  if (!wrong) setTimeout(gone, run ? 9000 : 4000);
}

/** Say what went wrong. @param {any} error */
export const failed = (error) => toast(error.message || String(error), { wrong: true });
