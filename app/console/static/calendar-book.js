// The dialog that books: what the rules say while it is filled in, and what is free where they refuse.

import { Refused, get, post } from './api.js';
import { CustomerField } from './calendar-customers.js';
import { MINUTE } from './calendar-geometry.js';
import { Repeats, tellSeries } from './calendar-repeats.js';
import { Explainer, choices, reasons } from './calendar-rules.js';
import { Services } from './calendar-services.js';
import { element, notice } from './dialog.js';
import { instantOf, wall } from './time.js';
import { speak } from './words.js';

const USUAL_MINUTES = 60;

const DAY_MINUTES = 24 * 60;
/** The API's name for whichever resource of a pool is free. */
const ANY = 'any';

const minutesOf = (time) => Number(time.slice(0, 2)) * 60 + Number(time.slice(3, 5));
const clockOf = (minutes) => new Date(minutes * MINUTE).toISOString().slice(11, 16);
const iso = (instant) => new Date(instant).toISOString();
const dayOf = (date) => Date.parse(`${date}T00:00Z`) / (DAY_MINUTES * MINUTE);
const later = (date, days) => iso((dayOf(date) + days) * DAY_MINUTES * MINUTE).slice(0, 10);

export class BookDialog {
  /** `redraw(id)` shows the calendar with what was booked. */
  constructor(dialog, drawing, redraw) {
    this.dialog = dialog;
    this.drawing = drawing;
    this.redraw = redraw;
    this.form = dialog.querySelector('form');
    this.fields = this.form.elements;
    this.said = dialog.querySelector('.said');
    this.problem = dialog.querySelector('.problem');
    this.customer = new CustomerField(this.fields.customer, dialog.querySelector('[role=listbox]'), dialog.querySelector('#customers-hint'));
    this.services = new Services();
    this.offers = [];
    this.repeats = new Repeats(this.fields);
    this.explainer = new Explainer((said) => this.say(said));
    this.form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.submit();
    });
    this.form.addEventListener('input', (event) => this.changed(event.target));
    this.form.querySelector('[data-close]').addEventListener('click', () => dialog.close());
    dialog.addEventListener('close', () => this.explainer.stop());
  }

  /** Open it for a time of a column; without an end as long as the service lasts. */
  async open(column, start, end) {
    this.form.reset();
    this.customer.reset();
    this.repeats.fit();
    this.refuse(null);
    this.say(null);
    this.column = column;
    this.resource = null;
    this.hasEnd = end !== null;
    this.days = 1;
    this.span = { start, end: end ?? start + USUAL_MINUTES * MINUTE };
    const ids = this.pool && column.resources.length > 1 ? [ANY, ...column.resources] : column.resources;
    this.fields.resource.replaceChildren(...ids.map((id) => element('option', { value: id }, this.nameOf(id))));
    this.fields.service.replaceChildren();
    this.write();
    this.dialog.showModal();
    await this.offer();
  }

  /** The service whose pool the calendar shows, if it shows one. */
  get pool() {
    return /^service:(.*)$/.exec(this.drawing.root.dataset.of)?.[1];
  }

  nameOf(id) {
    if (id === ANY) return speak('calendar.any');
    return document.querySelector(`#choose option[value="resource:${CSS.escape(id)}"]`)?.textContent ?? id;
  }

  /** Offer the services of the chosen resource; of any of a pool that of the pool alone. */
  async offer() {
    const { value } = this.fields.resource;
    const turn = (this.turn = {});
    let resource = null;
    let offered;
    try {
      if (value !== ANY) resource = (await get(`/v1/resources/${encodeURIComponent(value)}`)).body;
      offered = await this.services.offered(resource?.services ?? [this.pool]);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      return this.turn === turn ? this.refuse(error) : undefined;
    }
    if (this.turn !== turn) return undefined; // another one was chosen meanwhile
    this.resource = resource;
    this.offers = offered.services;
    const options = this.offers.map((service) => element('option', { value: service.id }, service.name));
    if (resource && !resource.serviceOnly) options.push(element('option', { value: '' }, speak('calendar.without_service')));
    if (offered.isCut) options.push(element('option', { disabled: true }, speak('calendar.cut_services')));
    const before = this.fields.service.value;
    this.fields.service.replaceChildren(...options);
    const wanted = [before, this.pool].find((id) => id && this.offers.some((each) => each.id === id));
    if (wanted) this.fields.service.value = wanted;
    return this.takeService();
  }

  get service() {
    return this.offers.find((each) => each.id === this.fields.service.value);
  }

  get isOfDays() {
    return this.service?.durationType === 'full-day';
  }

  /** Give the time the length that the service has. */
  takeService() {
    const { service } = this;
    const minutes = service?.durationType === 'fixed' ? service.durationMinutes : this.hasEnd ? null : service?.minMinutes ?? USUAL_MINUTES;
    if (minutes) this.span.end = this.span.start + minutes * MINUTE;
    this.fields.to.readOnly = service?.durationType === 'fixed';
    for (const name of ['from', 'to']) this.fields[name].closest('label').hidden = this.isOfDays;
    this.fields.last.closest('label').hidden = !this.isOfDays || service.maxDays === 1;
    this.write();
    if (this.isOfDays) this.retime(this.fields.date);
    else this.ask();
  }

  /** Write the time into the fields, on the clocks of the resource. */
  write() {
    const [start, end] = [this.span.start, this.span.end].map((instant) => wall(instant, this.zone));
    [this.fields.date.value, this.fields.from.value] = start.split('T');
    this.fields.to.value = end.split('T')[1];
    this.fields.last.value = later(this.fields.date.value, this.days - 1);
    this.minutes = this.typedMinutes();
    this.isWritten = true;
  }

  /** How long it is by the clocks, as it is written in the fields. */
  typedMinutes() {
    const { from, to } = this.fields;
    return (minutesOf(to.value) - minutesOf(from.value) + DAY_MINUTES) % DAY_MINUTES || DAY_MINUTES;
  }

  get zone() {
    return this.resource?.timezone ?? this.column.zone;
  }

  async changed(field) {
    if (field === this.fields.resource) await this.offer();
    else if (field === this.fields.service) this.takeService();
    else if (['date', 'last', 'from', 'to'].includes(field.name)) this.retime(field);
    else if (field === this.fields.guests) this.ask();
  }

  /** A time that was typed: another start keeps the length. */
  retime(field) {
    this.isWritten = false;
    this.say(null);
    const { date, last, from, to } = this.fields;
    if (!date.value || !last.value || !from.value || !to.value) return;
    if (field === last) this.days = Math.max(1, dayOf(last.value) - dayOf(date.value) + 1);
    last.value = later(date.value, this.days - 1);
    last.min = date.value;
    last.max = later(date.value, (this.service?.maxDays ?? 1) - 1);
    if (field === to) {
      this.hasEnd = true;
      this.minutes = this.typedMinutes();
    } else to.value = clockOf(minutesOf(from.value) + this.minutes);
    this.span = this.typed();
    this.ask();
  }

  /** The date on which the time ends that is typed. */
  get endDate() {
    const { date, from, to } = this.fields;
    return to.value > from.value ? date.value : later(date.value, 1);
  }

  /** What is typed, by the clocks. */
  local() {
    const { date, last, from, to } = this.fields;
    return this.isOfDays
      ? [`${date.value}T00:00`, `${later(last.value, 1)}T00:00`]
      : [`${date.value}T${from.value}`, `${this.endDate}T${to.value}`];
  }

  /** The instants of what is typed; where the clocks change, the first that it can mean. */
  typed() {
    const [start, end] = this.local();
    return { start: instantOf(start, this.zone).getTime(), end: instantOf(end, this.zone).getTime() };
  }

  ask() {
    const { service, guests } = this.fields;
    const resource = this.resource?.id;
    const ends = this.service?.durationType === 'fixed' ? {} : { endTime: iso(this.span.end) };
    this.explainer.ask({ resource, service: service.value, startTime: iso(this.span.start), ...ends, guests: guests.value });
  }

  say(said) {
    this.said.textContent = said?.text ?? '';
    this.said.classList.toggle('bad', said?.ok === false);
    this.said.classList.toggle('good', said?.ok === true);
  }

  /** The time as the body of a booking has it: instants as they were drawn, or what was typed; of days their first ones. A series has local times alone. */
  time() {
    const isFixed = this.service?.durationType === 'fixed';
    if (!this.repeats.rule && (this.isWritten || this.isOfDays)) return { startTime: iso(this.span.start), ...(isFixed ? {} : { endTime: iso(this.span.end) }) };
    const [localStart, localEnd] = this.local();
    return { localStart, timezone: this.zone, ...(isFixed ? {} : { localEnd }) };
  }

  async submit({ force = false } = {}) {
    this.refuse(null);
    if (this.customer.isOpen) return this.refuse(null, speak('calendar.choose_customer'));
    const button = this.form.querySelector('.primary');
    button.disabled = true;
    try {
      const customer = await this.customer.id();
      const { resource, service, guests, notes } = this.fields;
      const optional = { service: service.value, customer, notes: notes.value.trim() };
      const given = Object.fromEntries(Object.entries(optional).filter(([, value]) => value));
      const body = { resource: resource.value, ...given, guests: Number(guests.value), ...this.time() };
      const made = this.repeats.rule ? await this.send('/v1/series', this.repeats.body(body)) : await this.send(`/v1/reservations${force ? '?force=true' : ''}`, body);
      this.dialog.close();
      if (made.reservations) await tellSeries(made);
      else notice(speak('calendar.booked'));
      await this.redraw((made.reservations?.[0] ?? made).id);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.refuse(error);
    } finally {
      button.disabled = false;
    }
    return undefined;
  }

  /** What is made. One key for a request until it is answered, however often it is sent: nothing is booked twice. */
  async send(path, body) {
    const text = JSON.stringify(body);
    if (this.sent?.text !== text) {
      const bytes = crypto.getRandomValues(new Uint8Array(16));
      this.sent = { text, key: [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('') };
    }
    const { body: made } = await post(path, body, { key: this.sent.key });
    this.sent = null;
    return made;
  }

  refuse(error, text = null) {
    this.problem.hidden = !error && !text;
    this.problem.replaceChildren();
    if (text) this.problem.append(text);
    if (!error) return;
    const offered = choices(error, this.zone, (at) => this.spanWith(at, error), (choice) => this.take(choice, error));
    this.problem.append(element('ul', { class: 'reasons' }, ...reasons(error).map((reason) => element('li', {}, reason))));
    if (offered) this.problem.append(offered);
    this.say(null);
  }

  /** The time with an instant that was chosen: another start with this length, or which of two was meant by a local time. */
  spanWith(at, error) {
    const { start, end } = this.span;
    if (this.isOfDays) {
      const [first] = wall(at, this.zone).split('T');
      return { start: at, end: instantOf(`${later(first, this.days)}T00:00`, this.zone).getTime() };
    }
    if (error.kind !== 'local-time' || this.service?.durationType === 'fixed') return { start: at, end: at + end - start };
    if (error.problem.errors?.[0]?.pointer === '/localEnd') return { start, end: at };
    return { start: at, end: end > at ? end : at + end - start };
  }

  /** Book what was chosen instead. */
  take({ startTime, force }, error) {
    if (startTime) {
      this.span = this.spanWith(Date.parse(startTime), error);
      this.write();
    }
    this.submit({ force });
  }
}
