// The fields of the booking dialog that make a series: how often, until when, and what of dates that are not free.

import { reasons } from './calendar-rules.js';
import { element, notice, show } from './dialog.js';
import { speak, speakCount } from './words.js';

export class Repeats {
  constructor(fields) {
    this.fields = fields;
    for (const name of ['repeats', 'until']) fields[name].addEventListener('input', () => this.fit());
  }

  /** Show what a series needs, if one is wanted; a last date stands in place of a number. */
  fit() {
    const { repeats, count, until, onConflict } = this.fields;
    for (const field of [count, until, onConflict]) {
      field.closest('label').hidden = !repeats.value;
      field.disabled = !repeats.value;
    }
    count.disabled ||= until.value !== '';
  }

  /** The rule as the API takes it; null for a single booking. */
  get rule() {
    const { repeats, count, until } = this.fields;
    if (!repeats.value) return null;
    return `FREQ=${repeats.value};${until.value ? `UNTIL=${until.value.replaceAll('-', '')}` : `COUNT=${count.value}`}`;
  }

  /** The body of a series of which this is a reservation. */
  body(reservation) {
    return { reservation, rule: this.rule, onConflict: this.fields.onConflict.value };
  }
}

/** Say how many reservations a series has; where dates were left out, which and why. */
export async function tellSeries({ reservations, skipped }) {
  const said = speakCount('series.booked', reservations.length);
  if (!skipped.length) return notice(said);
  const list = reasons({ problem: { members: skipped } }).map((reason) => element('li', {}, reason));
  return show(said, element('div', { class: 'refusal' }, element('p', {}, speak('series.skipped')), element('ul', { class: 'reasons' }, ...list)));
}
