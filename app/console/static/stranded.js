// Edits of the catalogue: one that would strand bookings shows them as a list to decide on, and can be made anyway.

import { Refused, call } from './api.js';
import { ask, element, refusal, show, tried } from './dialog.js';
import { wall, written } from './time.js';
import { speak, speakCount, speakOf } from './words.js';

function line(booking, zone) {
  const start = new Date(booking.startTime);
  const [date] = wall(start, zone).split('T');
  const of = encodeURIComponent(`resource:${document.getElementById('object').dataset.id}`);
  const day = element('a', { href: `/console/calendar?date=${date}&of=${of}`, target: '_blank' }, written(start, 'dated', zone));
  return element(
    'li',
    {},
    element('strong', {}, booking.customer ?? speak('today.anonymous')),
    ' ',
    day,
    `, ${written(start, 'time', zone)}–${written(new Date(booking.endTime), 'time', zone)} `,
    element('span', { class: 'badge' }, speakOf('status', booking.status)),
  );
}

/** Show the bookings that an edit would strand; whether it is to be made anyway. */
async function decided(problem, zone) {
  const listed = (problem.reservations ?? []).map((booking) => line(booking, zone));
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

/** Edit the object of this page at the version that was read; the answer, or null where nothing was changed. */
export async function edited(method, path, body) {
  const object = document.getElementById('object');
  const options = { body, ifMatch: Number(object.dataset.version) };
  let answer = null;
  try {
    answer = await call(method, path, options);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    if (error.kind === 'stranded-bookings') {
      if (await decided(error.problem, object.dataset.zone)) answer = await tried(call(method, `${path}?force=true`, options));
    } else if (error.kind === 'stale') {
      if (await ask(error.message, { yes: speak('catalogue.load'), no: speak('catalogue.keep') })) location.reload();
    } else refusal(error);
  }
  if (answer) [object.dataset.version] = /\d+/.exec(answer.tag);  // a proxy that compresses makes it weak: W/"3"
  return answer;
}
