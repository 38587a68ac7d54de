// One reservation: what is known of it, and what can be done with it.

import { Refused, get, may, patch, post } from './api.js';
import { cancelSeries, extent } from './calendar-series.js';
import { ask, element, notice, refusal, show } from './dialog.js';
import { left, written, writtenRange } from './time.js';
import { speak, speakOf } from './words.js';

/** What can be taken back, with `reservations:admin`. */
const REOPENED = ['completed', 'no-show'];
const ENDS = ['complete', 'no-show'];
const QUESTIONS = { cancel: 'today.sure_cancel' };

/** What the key may do with a reservation now; the API decides. */
function verbs({ status, expiresAt, startTime }) {
  if (!may('reservations:write')) return [];
  if (status === 'pending') return expiresAt || may('reservations:admin') ? ['cancel', 'confirm'] : ['cancel'];
  if (REOPENED.includes(status)) return may('reservations:admin') ? ['reopen'] : [];
  if (status !== 'confirmed') return [];
  return Date.parse(startTime) <= Date.now() ? ['cancel', 'no-show', 'complete'] : ['cancel'];
}

/** The name of a resource or a service, as the page lists it. */
function nameOf(kind, id) {
  return id && (document.querySelector(`#choose option[value="${kind}:${CSS.escape(id)}"]`)?.textContent ?? id);
}

function facts(reservation, booking) {
  const { startTime, endTime, expiresAt, service, guests, reference, createdAt, status, series } = reservation;
  const zone = booking.column.zone;
  const start = Date.parse(startTime);
  const rows = [
    ['when', `${written(start, 'day', zone)}, ${writtenRange(start, Date.parse(endTime), zone)} (${zone})`],
    ['status', status === 'pending' ? speak(expiresAt ? 'today.hold' : 'today.request') : speakOf('calendar', status)],
    ['expires', expiresAt && speak('today.seconds_left', { time: left((Date.parse(expiresAt) - Date.now()) / 1_000) })],
    ['resource', nameOf('resource', reservation.resource)],
    ['service', nameOf('service', service)],
    ['series', series && element('a', { href: `/console/series/${series}` }, speak('calendar.its_series'))],
    ['guests', guests],
    ['reference', reference],
    ['made', `${written(Date.parse(createdAt), 'instant', zone)} · ${reservation.history[0]?.by ?? ''}`],
  ];
  const shown = rows.filter(([, value]) => value !== undefined && value !== null && value !== '');
  return element('dl', { class: 'facts' }, ...shown.map(([name, value]) => element('div', {}, element('dt', {}, speak(`calendar.${name}`)), element('dd', {}, value))));
}

/** Do something; whether it was done. `undo` takes it back. */
async function attempt(doing, done, undo) {
  try {
    await doing();
    notice(done, { undo });
    return true;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    if (error.kind === 'stale') notice(speak('calendar.stale'), { bad: true });
    else refusal(error);
    return false;
  }
}

/** Open a booking of the calendar; whether anything was changed. `move` begins to move it; `changed` is called after an undo. */
export async function openDetails(booking, move, changed) {
  let found;
  try {
    found = await get(`/v1/reservations/${encodeURIComponent(booking.id)}`);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    refusal(error);
    return true;
  }
  const reservation = found.body;
  const canWrite = may('reservations:write');
  const notes = element('textarea', { name: 'notes', rows: 3, maxlength: 2000, readonly: !canWrite });
  notes.value = reservation.notes ?? '';
  const content = element('div', { class: 'details' }, facts(reservation, booking), element('label', {}, speak('calendar.notes'), notes));
  const buttons = [element('button', { value: 'close' }, speak('layout.close'))];
  if (canWrite) {
    if (booking.isMovable && move) buttons.push(element('button', { value: 'move' }, speak('calendar.move')));
    for (const verb of verbs(reservation)) buttons.push(element('button', { value: verb, class: verb === 'cancel' ? 'danger' : '' }, verb === 'reopen' ? speak('calendar.reopen') : speakOf('verb', verb)));
    buttons.push(element('button', { value: 'save', class: 'primary' }, speak('calendar.save')));
  }
  const title = booking.node.querySelector('strong').firstChild.textContent;
  const chosen = await show(title, content, buttons);
  const path = `/v1/reservations/${encodeURIComponent(booking.id)}`;
  if (chosen === 'move') {
    move(booking);
    return false;
  }
  if (chosen === 'save') {
    if (notes.value === (reservation.notes ?? '')) return false;
    await attempt(() => patch(path, { notes: notes.value || null }, found.tag), speak('calendar.saved'));
    return true;
  }
  if (!chosen || chosen === 'close') return false;
  if (chosen === 'cancel' && reservation.series) {
    const which = await extent(`${speak('series.which_cancel')} ${speak('calendar.for_good')}`);
    if (!which) return false;
    await attempt(() => (which === 'one' ? post(`${path}/cancel`) : cancelSeries(reservation, which)), speakOf('done', 'cancel'));
    return true;
  }
  if (chosen in QUESTIONS) {
    const question = `${speak(QUESTIONS[chosen])} ${speak('calendar.for_good')}`;
    if (!(await ask(question, { yes: speakOf('verb', chosen) }))) return false;
  }
  const reopen = () => attempt(() => post(`${path}/reopen`, { reason: speak('calendar.reopen_reason') }), speak('calendar.reopened')).then(changed);
  if (chosen === 'reopen') await reopen();
  else await attempt(() => post(`${path}/${chosen}`), speakOf('done', chosen), ENDS.includes(chosen) && may('reservations:admin') ? reopen : undefined);
  return true;
}
