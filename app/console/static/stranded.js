// Edits of the catalogue: one that would strand bookings shows them as a list to decide on, and can be made anyway.

import { Refused, call, get } from './api.js';
import { ask, element, refusal, show, tried } from './dialog.js';
import { wall, written } from './time.js';
import { speak, speakCount, speakOf } from './words.js';

/** The resources of bookings by the bookings' ids, as far as the key may read them: the list of the API has its own. */
async function resourcesOf(bookings) {
  if (!bookings.length) return new Map();
  const query = new URLSearchParams({ expand: 'resource', limit: bookings.length });
  for (const { id } of bookings) query.append('id', id);
  const found = await tried(get(`/v1/reservations?${query}`));
  return new Map(found?.body.items.map(({ id, resource }) => [id, resource.id ? resource : { id: resource, name: resource }]));
}

/** A booking, with a link to its day; `of` is what the calendar shows, all without it. Where many are closed, it names its own. */
function line(booking, { zone, of, resource }) {
  const start = new Date(booking.startTime);
  const [date] = wall(start, zone).split('T');
  const query = new URLSearchParams({ date, ...(of ? { of } : {}) });
  const day = element('a', { href: `/console/calendar?${query}`, target: '_blank' }, written(start, 'dated', zone));
  return element(
    'li',
    {},
    element('strong', {}, booking.customer ?? speak('today.anonymous')),
    resource ? ` · ${resource.name}` : null,
    ' ',
    day,
    `, ${written(start, 'time', zone)}–${written(new Date(booking.endTime), 'time', zone)} `,
    element('span', { class: 'badge' }, speakOf('status', booking.status)),
  );
}

/** Show the bookings that an edit would strand; whether it is to be made anyway. */
async function isWanted(problem, zone, of) {
  const bookings = problem.reservations ?? [];
  const resources = of ? new Map() : await resourcesOf(bookings);
  const listed = bookings.map((booking) => {
    const resource = resources.get(booking.id);
    return line(booking, resource ? { zone: resource.timezone, of: `resource:${resource.id}`, resource } : { zone, of });
  });
  const content = element(
    'div',
    { class: 'stranded' },
    element('p', {}, speak('stranded.lead')),
    listed.length ? element('ol', { class: 'plain' }, ...listed) : null,
    problem.total > listed.length ? element('p', { class: 'faint' }, speak('review.more', { number: problem.total - listed.length })) : null,
  );
  const buttons = [
    element('button', { value: 'anyway', class: 'danger' }, speak('stranded.anyway')),
    element('button', { value: 'no', class: 'primary' }, speak('stranded.leave')),
  ];
  return (await show(speakCount('stranded.title', problem.total), content, buttons)) === 'anyway';
}

/**
 * What `edit` answers, which calls the API with a query; if that would strand bookings, they are shown, and it is called
 * again to make the edit anyway, or not: null. `zone` is that of their times, without one the browser's.
 */
export async function decided(edit, { zone, of } = {}) {
  try {
    return await edit('');
  } catch (error) {
    if (!(error instanceof Refused) || error.kind !== 'stranded-bookings') throw error;
    return (await isWanted(error.problem, zone, of)) ? edit('?force=true') : null;
  }
}

/** Edit the object of this page at the version that was read; the answer, or null where nothing was changed. */
export async function edited(method, path, body) {
  const object = document.getElementById('object');
  const { id, version, zone } = object.dataset;
  const edit = (query) => call(method, path + query, { body, ifMatch: Number(version) });
  let answer = null;
  try {
    answer = await decided(edit, { zone, of: `resource:${id}` });
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    if (error.kind === 'stale') {
      if (await ask(error.message, { yes: speak('catalogue.load'), no: speak('catalogue.keep') })) location.reload();
    } else refusal(error);
  }
  if (answer) [object.dataset.version] = /\d+/.exec(answer.tag);  // a proxy that compresses makes it weak: W/"3"
  return answer;
}
