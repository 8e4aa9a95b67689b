/** Decides which addresses from the server may become links and pictures. */

const LOOPBACK = new Set(["localhost", "127.0.0.1", "[::1]"]);

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

/**
 * The address to load media from. A server on this machine names itself by one loopback name
 * while the page may have been opened by another, which the page's own policy would refuse.
 */
export function mediaUrl(value) {
  const safe = safeUrl(value);
  if (safe === null) return null;
  const url = new URL(safe);
  const samePort = url.port === location.port;
  if (samePort && LOOPBACK.has(url.hostname) && LOOPBACK.has(location.hostname)) {
    return location.origin + url.pathname + url.search;
  }
  return url.href;
}

/** The path and query of one of our own API addresses. */
export function apiPath(value) {
  const safe = safeUrl(value);
  if (safe === null) return null;
  const url = new URL(safe);
  return url.pathname + url.search;
}
