/** Decides which addresses from the server may become links and pictures. */

/**
 * The address if it is plain http(s), else null: a `javascript:` or `data:` link never gets in.
 * @param {unknown} value
 * @returns {string | null}
 */
export function safeUrl(value) {
  if (typeof value !== "string" || value === "") return null;
  try {
    const url = new URL(value, location.origin);
    return url.protocol === "http:" || url.protocol === "https:" ? url.href : null;
  } catch {
    return null; // not an address at all
  }
}
