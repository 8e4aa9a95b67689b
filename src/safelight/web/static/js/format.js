/** Puts numbers, sizes and times into words. */

const COUNT = new Intl.NumberFormat("en");
const AGO = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const MOMENT = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "short" });
const STEPS = [["second", 60], ["minute", 60], ["hour", 24], ["day", 30], ["month", 12], ["year", Infinity]];

/** 12345 -> "12,345" */
export const count = (number) => COUNT.format(number);

/** "1 picture", "3 pictures" */
export const plural = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;

/** 1536000 -> "1.5 MiB" */
export function bytes(number) {
  if (!Number.isFinite(number)) return "";
  if (number < 1024) return `${number} B`;
  const inKib = number / 1024;
  return inKib < 1024 ? `${Math.round(inKib)} KiB` : `${(inKib / 1024).toFixed(1)} MiB`;
}

/** An ISO time -> "5 minutes ago" */
export function ago(iso) {
  let amount = (new Date(iso).getTime() - Date.now()) / 1000;
  if (!Number.isFinite(amount)) return "";
  if (Math.abs(amount) < 10) return "just now";
  for (const [unit, size] of STEPS) {
    if (Math.abs(amount) < size) return AGO.format(Math.round(amount), unit);
    amount /= size;
  }
  return "";
}

/** An ISO time -> "22 Nov 2026, 14:05" */
export function moment(iso) {
  const date = new Date(iso);
  return Number.isNaN(date.getTime()) ? "" : MOMENT.format(date);
}

/** 0.1 s to 90 min, as one reads it. */
export function duration(seconds) {
  if (!Number.isFinite(seconds) || seconds < 0) return "";
  if (seconds < 10 && !Number.isInteger(seconds)) return `${seconds.toFixed(1)} s`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  return `${Math.round(seconds / 60)} min`;
}

/** Renews every "5 minutes ago" on the page. */
export function refreshTimes(root = document) {
  for (const node of root.querySelectorAll("time[data-ago]")) node.textContent = ago(node.dateTime);
}
