// A booking of a series: whether a change is about it alone, it and those that follow, or all; and that change.

import { Refused, get, post } from './api.js';
import { element, show } from './dialog.js';
import { MINUTE } from './calendar-geometry.js';
import { wall } from './time.js';
import { speak, speakOf } from './words.js';

const EXTENTS = ['one', 'following', 'all'];
const NONE = 'none';
const BLOCKING = ['pending', 'confirmed'];

/** Ask what a change is about, one of `EXTENTS`; null where it is left. */
export async function extent(question) {
  const buttons = [...EXTENTS, NONE].map((each) => element('button', { value: each, class: each === NONE && 'primary' }, speakOf('extent', each)));
  const chosen = await show(question, null, buttons);
  return EXTENTS.includes(chosen) ? chosen : null;
}

/** Cancel several of a series, from a booking on where they are those that follow it. */
export function cancelSeries({ id, series }, chosen) {
  return post(`/v1/series/${series}/cancel`, chosen === 'all' ? {} : { from: id });
}

/** Local time as milliseconds that can be calculated with, and back. */
const localOf = (instant, zone) => Date.parse(`${wall(instant, zone)}:00Z`) + (instant % MINUTE);
const textOf = (local) => new Date(local).toISOString().slice(0, -1);

/** Move several of a series by as much local time as one booking of it is moved. */
export async function moveSeries(booking, chosen, { start, end, resource }) {
  const path = `/v1/series/${booking.series}`;
  const { timezone, reservations } = (await get(path)).body;
  const moved = reservations.find((each) => each.id === booking.id);
  if (moved?.version !== booking.version) throw new Refused({ type: '/problems/stale', detail: speak('calendar.stale') }, 412);
  const isToCome = ({ status, startTime }) => BLOCKING.includes(status) && Date.parse(startTime) > Date.now();
  const first = chosen === 'all' ? reservations.find(isToCome) ?? moved : moved;
  const local = (instant) => localOf(instant, timezone);
  const begins = local(Date.parse(first.startTime)) + local(start) - local(booking.start);
  const body = { from: first.id };
  if (start !== booking.start) body.localStart = textOf(begins);
  if (end - start !== booking.end - booking.start) body.localEnd = textOf(begins + local(end) - local(start));
  if (resource !== booking.resource) body.resource = resource;
  return post(`${path}/move`, body);
}
