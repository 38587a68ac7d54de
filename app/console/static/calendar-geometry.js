// Where things stand in a day: pure functions of instants (milliseconds) and of a column `{ start, end, hours }`, whose
// `hours` are the day's real ones: `{ elapsed, hour }` in minutes since its start, and what the clocks show then.

export const HOUR_PIXELS = 48;
export const MINUTE = 60_000;
export const SNAP_MINUTES = 15;
export const LEAST_PIXELS = 18;
const LANES_SHOWN = 4;

/** The hours of a day as the page writes them: `0=0 60=1 120=3`. */
export function hoursOf(text) {
  return text
    .split(' ')
    .filter(Boolean)
    .map((each) => each.split('=').map(Number))
    .map(([elapsed, hour]) => ({ elapsed, hour }));
}

/** Pixels for a length. */
export function pixels(millis) {
  return (millis / MINUTE / 60) * HOUR_PIXELS;
}

/** How far below the top of a column an instant stands; none is above it or below its end. */
export function top(column, instant) {
  return pixels(Math.min(Math.max(instant, column.start), column.end) - column.start);
}

/** The instant at some pixels below the top of a column, on its grid of quarters. */
export function instantAt(column, y, round = Math.floor) {
  const step = SNAP_MINUTES * MINUTE;
  const elapsed = round(((y / HOUR_PIXELS) * 60 * MINUTE) / step) * step;
  return column.start + Math.min(Math.max(elapsed, 0), column.end - column.start - step);
}

/** The instant of another column at which its clocks show what they show in this one; in a gap the hour after it. */
export function sameWall(instant, from, to) {
  const elapsed = (instant - from.start) / MINUTE;
  const mark = from.hours.findLast((each) => each.elapsed <= elapsed) ?? { elapsed: 0, hour: 0 };
  const twin = to.hours.find((each) => each.hour >= mark.hour) ?? to.hours.at(-1) ?? mark;
  return to.start + (twin.elapsed + elapsed - mark.elapsed) * MINUTE;
}

/** The instant at which the clocks of a column show an hour and a minute, the first of two; in a gap the hour after it. */
export function instantOfWall(column, hour, minute) {
  const mark = column.hours.find((each) => each.hour >= hour) ?? column.hours.at(-1);
  return column.start + (mark.elapsed + minute) * MINUTE;
}

/**
 * Lanes for what overlaps, from the left: a map from each item to `{ lane, lanes }`. Items have `start` and `end`.
 * A column whose capacity is more than one keeps lanes free for it, four at most, so that its depth can be seen.
 */
export function lanesOf(items, capacity) {
  const sorted = [...items].sort((one, other) => one.start - other.start || other.end - one.end);
  const found = new Map();
  const depth = Math.min(capacity, LANES_SHOWN);
  let cluster = [];
  let ends = [];
  let until = -Infinity;
  const close = () => {
    for (const item of cluster) found.get(item).lanes = Math.max(ends.length, depth);
  };
  for (const item of sorted) {
    if (item.start >= until) {
      close();
      [cluster, ends] = [[], []];
    }
    let lane = ends.findIndex((end) => end <= item.start);
    if (lane < 0) lane = ends.length;
    ends[lane] = item.end;
    until = Math.max(until, item.end);
    cluster.push(item);
    found.set(item, { lane, lanes: 1 });
  }
  close();
  return found;
}

/** The stretches of a column that are taken, with the units taken then: `{ start, end, units }`. Items have `units`. */
export function loads(items) {
  const steps = items.flatMap((item) => [
    [item.start, item.units],
    [item.end, -item.units],
  ]);
  steps.sort((one, other) => one[0] - other[0] || one[1] - other[1]);
  const found = [];
  let units = 0;
  steps.forEach(([at, change], index) => {
    units += change;
    const end = steps[index + 1]?.[0];
    if (units > 0 && end > at) found.push({ start: at, end, units });
  });
  return found;
}
