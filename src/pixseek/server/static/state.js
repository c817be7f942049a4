// What is shown is what the address says; going anywhere is a step of the browser's history.
//
//     ?q=a dog&sort=newest&library=shop&facets=1      a search
//     image/ID?q=...                                  the same with an image open

import { start } from "./texts.js";

/**
 * @typedef {object} State
 * @property {string} q the query
 * @property {string} sort "" for the default
 * @property {string} library "" for the default
 * @property {string} facets "1" if they are shown
 * @property {string} dates "false" if dates in words are words
 * @property {string} example key of a picture that was dropped, see examples.js; "" for none
 * @property {string} weight of that picture; "" for 1
 * @property {string} strength "" or the least strength
 * @property {string} image id of the open image; "" for none
 */

const NAMES = ["q", "sort", "library", "facets", "dates", "example", "weight", "strength"];

/** Where the server's page is, with a slash at the end; modules are two folders below. */
export const base = new URL("../../", import.meta.url);

/** @param {{search: string, pathname: string}} from an address, or a link @returns {State} */
export function read(from = location) {
  const asked = new URLSearchParams(from.search);
  const state = Object.fromEntries(NAMES.map((name) => [name, asked.get(name) || ""]));
  const path = from.pathname.slice(base.pathname.length);
  state.image = path.startsWith("image/") ? decodeURIComponent(path.slice(6)) : "";
  return (state);
}

/** @param {Partial<State>} state */
export function addressOf(state) {
  const address = new URL(state.image ? `image/${encodeURIComponent(state.image)}` : "", base);
  for (const name of NAMES) if (state[name]) address.searchParams.set(name, state[name]);
  return address.href;
}

/** Keeps the state, and tells about changes by events "change" with `detail.before`. */
export class History extends EventTarget {
  constructor() {
    super();
    /** @type {State} */
    this.now = read();
    history.scrollRestoration = "manual";
    addEventListener("popstate", () => this.#set(read(), true));
  }

  /**
   * @param {Partial<State>} changes
   * @param {{replace?: boolean, keep?: any}} [how] replace: without a step of the history;
   *   keep: what `kept` returns when the user comes back to this step
   */
  go(changes, { replace = false } = {}) {
    const next = { ...this.now, ...changes };
    const address = addressOf(next);
    if (address === location.href && !replace) return this.#set(next, false);
    if (replace) history.replaceState(history.state, "", address);
    else history.pushState({}, "", address);
    this.#set(next, false);
  }

  /** Keep something about this step, such as its position. @param {Record<string, any>} what */
  keep(what) {
    history.replaceState({ ...history.state, ...what }, "");
  }

  /** @returns {Record<string, any>} */
  get kept() {
    return history.state || {};
  }

  #set(next, isBack) {
    const before = this.now;
    this.now = next;
    this.dispatchEvent(new CustomEvent("change", { detail: { before, isBack } }));
  }
}

/** Parameters that choose the library, for requests. @param {State} state */
export const ofLibrary = (state) => (state.library ? { library: state.library } : {});

export const mayWrite = Boolean(start.may_write);
