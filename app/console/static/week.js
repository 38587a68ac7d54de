// Windows of a day as minutes since its midnight; `to` lies beyond 1440 where a window runs past midnight.

export const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'];
export const DAY = 1_440;
const TIME = /^([01]?\d|2[0-4])(?::?([0-5]\d))?$/;

/** Minutes of a wall time, `9`, `930`, `09:30`, `24:00`; null for what is none. */
export function minutes(text) {
  const found = TIME.exec(text.trim());
  if (!found) return null;
  const all = Number(found[1]) * 60 + Number(found[2] ?? 0);
  return all > DAY ? null : all;
}

/** Minutes as a wall time; the end of a day is `24:00`, what lies beyond is a time of the next day. */
export function wall(all) {
  const within = all > DAY ? all - DAY : all;
  return `${String(Math.floor(within / 60)).padStart(2, '0')}:${String(within % 60).padStart(2, '0')}`;
}

/** A window of the API as minutes. */
export function read({ from, to }) {
  const [start, end] = [minutes(from), minutes(to)];
  return { from: start, to: end > start ? end : end + DAY };
}

/** A window as the API has it. */
export function shown({ from, to }) {
  return { from: wall(from), to: wall(to) };
}

/** The windows of each day from a weekly list of the API. */
export function byDay(weekly) {
  return Object.fromEntries(
    DAYS.map((day) => {
      const windows = weekly.filter((each) => each.days.includes(day)).map(read);
      return [day, windows.sort((one, other) => one.from - other.from)];
    }),
  );
}

/** The weekly list of the API from the windows of each day: equal windows of several days are one entry. */
export function weekly(week) {
  const found = new Map();
  for (const day of DAYS) {
    for (const window of week[day]) {
      const key = `${window.from}-${window.to}`;
      if (!found.has(key)) found.set(key, { days: [], ...shown(window) });
      if (!found.get(key).days.includes(day)) found.get(key).days.push(day);
    }
  }
  return [...found.values()];
}

/** The windows in a line of text, `09:00–12:00, 14:00–18:00`; null where it cannot be read. */
export function parse(text) {
  const parts = text.split(/[,;]/).map((part) => part.trim()).filter(Boolean);
  const windows = parts.map((part) => part.split(/\s*[–-]\s*/).map(minutes));
  if (windows.some((edges) => edges.length !== 2 || edges.includes(null) || edges[0] === DAY)) return null;
  return windows.map(([from, to]) => ({ from, to: to > from ? to : to + DAY }));
}

/** Windows as a line of text. */
export function line(windows) {
  return windows.map((window) => `${wall(window.from)}–${wall(window.to)}`).join(', ');
}
