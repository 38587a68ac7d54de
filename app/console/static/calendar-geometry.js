// Where things stand in a day: pure functions of instants (milliseconds) and of a column `{ start, end, hours }`, whose
// `hours` are the day's real ones: `{ elapsed, hour }` in minutes since its start, and what the clocks show then.

export const HOUR_PIXELS = 48;
export const MINUTE = 60_000;
export const SNAP_MINUTES = 15;
export const LEAST_PIXELS = 18;
export const LANES_MAX = 6;

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

const STEP = SNAP_MINUTES * MINUTE;

/** A length in pixels as one in whole quarters of an hour. */
export function snapped(y, round = Math.round) {
  return round(((y / HOUR_PIXELS) * 60 * MINUTE) / STEP) * STEP;
}

/** The instant at some pixels below the top of a column, on its grid of quarters. */
export function instantAt(column, y, round = Math.floor) {
  return column.start + Math.min(Math.max(snapped(y, round), 0), column.end - column.start - STEP);
}

/** The instant of another column at which its clocks show what they show in this one; in a gap the hour after it. */
export function sameWall(instant, from, to) {
  const elapsed = (instant - from.start) / MINUTE;
  const mark = from.hours.findLast((each) => each.elapsed <= elapsed) ?? { elapsed: 0, hour: 0 };
  const twin = to.hours.find((each) => each.hour >= mark.hour) ?? to.hours.at(-1) ?? mark;
  return to.start + (twin.elapsed + elapsed - mark.elapsed) * MINUTE;
}

/**
 * Lanes for what overlaps, from the left: a map from each item to `{ lane, cluster }`, where a cluster is what shares
 * lanes: `{ start, end, lanes, ownLanes, hidden }`. Items have `start` and `end`. Where the capacity allows more, one
 * lane is left free, so that its depth can be seen and booked. Of more than `most` lanes the last one stands for all
 * that is `hidden`, behind the `ownLanes`.
 */
export function lanesOf(items, capacity, most = LANES_MAX) {
  const sorted = [...items].sort((one, other) => one.start - other.start || other.end - one.end);
  const found = new Map();
  let cluster = null;
  let ends = [];
  const close = () => {
    if (!cluster) return;
    const used = ends.length;
    cluster.lanes = Math.min(most, Math.max(used, Math.min(capacity, used + 1)));
    cluster.ownLanes = used > most ? most - 1 : used;
  };
  for (const item of sorted) {
    if (!cluster || item.start >= cluster.end) {
      close();
      cluster = { start: item.start, end: item.end, lanes: 1, ownLanes: 1, hidden: 0 };
      ends = [];
    }
    let lane = ends.findIndex((end) => end <= item.start);
    if (lane < 0) lane = ends.length;
    ends[lane] = item.end;
    cluster.end = Math.max(cluster.end, item.end);
    found.set(item, { lane, cluster });
  }
  close();
  for (const { lane, cluster: each } of found.values()) each.hidden += lane >= each.ownLanes ? 1 : 0;
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
