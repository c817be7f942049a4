// What users say of images: tags, ratings, captions; and what they want more or less of.

import { send } from "./api.js";
import { ofLibrary } from "./state.js";
import { failed } from "./toast.js";

/** Images that one request may change. */
const MOST = 1000;

/**
 * Change what is said of images.
 * @param {any} app @param {string[]} ids @param {Record<string, any>} what as POST api/tags takes it
 * @returns {Promise<boolean>} whether it was done
 */
export async function say(app, ids, what) {
  const done = [];
  try {
    for (let at = 0; at < ids.length; at += MOST) {
      const some = ids.slice(at, at + MOST);
      await send("POST", "tags", { params: ofLibrary(app.state.now), json: { ids: some, ...what } });
      done.push(...some);
    }
  } catch (error) {
    failed(error);
  }
  if (done.length) app.refresh(done);
  return done.length === ids.length;
}

/** Tags as they are typed: between commas. @param {string} text */
export const tagsOf = (text) => text.split(",").map((each) => each.trim()).filter(Boolean);

const LEANING = /\s*(-?[\d.]+)\*id:"?([^\s"@()]+)"?(?=[\s()]|$)/g;

/** The images that a query leans to and away from. @param {string} q */
export function leanings(q) {
  /** @type {Map<string, boolean>} */
  const found = new Map();
  for (const [, weight, id] of q.matchAll(LEANING)) found.set(id, Number(weight) > 0);
  return found;
}

/**
 * The query that leans to an image (true), away from it (false), or neither (null). The weights are
 * those of Rocchio's method, as in `Query.refined`: .75 and -.15, shared by all images of a side.
 * @param {string} q @param {string} id @param {boolean|null} liked
 */
export function leaning(q, id, liked) {
  const all = leanings(q);
  all.delete(id);
  if (liked !== null) all.set(id, liked);
  const rest = q.replace(LEANING, "").trim();
  const side = (which) => [...all].filter(([, each]) => each === which).map(([each]) => each);
  const weight = (whole, ids) => `${+(whole / ids.length).toFixed(4)}*id:`;
  const [to, from] = [side(true), side(false)];
  return [rest, ...to.map((each) => weight(0.75, to) + each), ...from.map((each) => weight(-0.15, from) + each)]
    .filter(Boolean)
    .join(" ");
}
