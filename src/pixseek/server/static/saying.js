// Changes of what is said of images.

import { send } from "./api.js";
import { ofLibrary } from "./state.js";
import { failed } from "./toast.js";

/** Images that one request may change. */
const MOST = 1000;

/**
 * Tag, rate or caption images. Returns whether it was done.
 * @param {any} app @param {string[]} ids @param {Record<string, any>} what as POST api/tags takes it
 */
export async function say(app, ids, what) {
	try {
		for (let at = 0; at < ids.length; at += MOST)
			await send("POST", "tags", { params: ofLibrary(app.state.now), json: { ids: ids.slice(at, at + MOST), ...what } });
		return true;
	} catch (error) {
		failed(error);
	} finally {
		app.refresh(ids);
	}
}

/** Tags as they are typed: between commas. @param {string} text */
export const tagsOf = (text) => text.split(",").map((each) => each.trim()).filter(Boolean);
