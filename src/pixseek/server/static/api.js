// All requests. A newer request with the same key ends the older one.

import { base } from "./state.js";
import { t } from "./texts.js";

/** What the server refused, or that it can't be reached (status 0). */
export class Problem extends Error {
  /** @param {any} plain problem details */
  constructor(plain) {
    super(plain.detail || plain.title || t("server_away"));
    this.status = plain.status || 0;
    this.problem = plain.problem || plain.title || "";
    this.subject = plain.subject || "";
    this.advice = plain.advice || "";
  }
}

/** @type {Map<string, AbortController>} */
const running = new Map();

/** How many requests wait; the page shows a line while it is above 0. */
let waiting = 0;
/** @type {((waits: boolean) => void)[]} */
export const onWaiting = [];

function wait(step) {
  waiting += step;
  for (const each of onWaiting) each(waiting > 0);
}

/** @param {string} path below api/ @param {Record<string, any>} [params] */
export function address(path, params = {}) {
  const url = new URL(`api/${path}`, base);
  for (const [name, value] of Object.entries(params))
    if (value !== "" && value != null) url.searchParams.set(name, String(value));
  return url.href;
}

/**
 * @param {string} method @param {string} path below api/
 * @param {{params?: Record<string, any>, json?: any, form?: FormData, key?: string, quiet?: boolean}} [how]
 *   key: a newer request with it ends this one, whose promise then never settles
 * @returns {Promise<any>} the JSON of the answer
 */
export async function send(method, path, { params, json, form, key, quiet = false } = {}) {
  const stop = new AbortController();
  if (key) {
    running.get(key)?.abort();
    running.set(key, stop);
  }
  const body = form ?? (json === undefined ? undefined : JSON.stringify(json));
  const headers = json === undefined ? {} : { "Content-Type": "application/json" };
  if (!quiet) wait(1);
  try {
    const answer = await fetch(address(path, params), { method, body, headers, signal: stop.signal });
    if (answer.status === 401) {
      location.assign(new URL(`login?to=${encodeURIComponent(location.pathname.slice(base.pathname.length - 1) + location.search)}`, base));
      return await new Promise(() => {});
    }
    const plain = await answer.json().catch(() => ({ status: answer.status, title: answer.statusText }));
    if (!answer.ok) throw new Problem({ status: answer.status, ...plain });
    return plain;
  } catch (error) {
    if (stop.signal.aborted) return await new Promise(() => {});
    throw error instanceof Problem ? error : new Problem({});
  } finally {
    if (!quiet) wait(-1);
    if (key && running.get(key) === stop) running.delete(key);
  }
}

/** @param {string} path @param {Record<string, any>} [params] @param {{key?: string, quiet?: boolean}} [how] */
export const get = (path, params, how) => send("GET", path, { params, ...how });

/** End the request with a key. @param {string} key */
export const stop = (key) => running.get(key)?.abort();

/**
 * Address of the small picture of an image.
 * @param {{id: string, digest?: string}} record @param {string} library @param {number} [size]
 */
export const preview = (record, library, size) =>
  address(`images/${encodeURIComponent(record.id)}/preview`, { v: record.digest, size, library });
