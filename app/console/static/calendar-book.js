// The dialog that books: what the rules say while it is filled in, and what is free where they refuse.

import { Refused, all, get, post } from './api.js';
import { CustomerField } from './calendar-customers.js';
import { MINUTE, instantOfWall } from './calendar-geometry.js';
import { Explainer, choices, reasons } from './calendar-rules.js';
import { element, notice } from './dialog.js';
import { wall } from './time.js';
import { speak } from './words.js';

const USUAL_MINUTES = 60;
const SERVICES_MAX = 1_000;

const DAY_MINUTES = 24 * 60;

const minutesOf = (time) => Number(time.slice(0, 2)) * 60 + Number(time.slice(3, 5));
const clockOf = (minutes) => new Date(minutes * MINUTE).toISOString().slice(11, 16);
const iso = (instant) => new Date(instant).toISOString();

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
    this.customer = new CustomerField(this.fields.customer, dialog.querySelector('[role=listbox]'));
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
    this.refuse(null);
    this.say(null);
    this.column = column;
    this.hasEnd = end !== null;
    this.span = { start, end: end ?? start + USUAL_MINUTES * MINUTE };
    this.fields.resource.replaceChildren(...column.resources.map((id) => element('option', { value: id }, this.nameOf(id))));
    this.write();
    this.dialog.showModal();
    await this.offer();
  }

  nameOf(id) {
    return document.querySelector(`#choose option[value="resource:${CSS.escape(id)}"]`)?.textContent ?? id;
  }

  /** Offer the services of the chosen resource. */
  async offer() {
    try {
      this.services ??= await all('/v1/services?active=true', SERVICES_MAX);
      this.resource = (await get(`/v1/resources/${encodeURIComponent(this.fields.resource.value)}`)).body;
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      return this.refuse(error);
    }
    const body = this.resource;
    const offered = this.services.filter((service) => body.services.includes(service.id));
    const options = offered.map((service) => element('option', { value: service.id }, service.name));
    if (!body.serviceOnly) options.push(element('option', { value: '' }, speak('calendar.without_service')));
    const before = this.fields.service.value;
    this.fields.service.replaceChildren(...options);
    const wanted = [before, (this.drawing.root.dataset.of.match(/^service:(.*)$/) ?? [])[1]].find((id) => id && offered.some((each) => each.id === id));
    if (wanted) this.fields.service.value = wanted;
    return this.takeService();
  }

  get service() {
    return this.services?.find((each) => each.id === this.fields.service.value);
  }

  /** Give the time the length that the service has. */
  takeService() {
    const { service } = this;
    const minutes = service?.durationType === 'fixed' ? service.durationMinutes : this.hasEnd ? null : service?.minMinutes ?? USUAL_MINUTES;
    if (minutes) this.span.end = this.span.start + minutes * MINUTE;
    this.fields.to.readOnly = service?.durationType === 'fixed';
    for (const name of ['from', 'to']) this.fields[name].closest('label').hidden = service?.durationType === 'full-day';
    this.write();
    this.ask();
  }

  /** Write the time into the fields, on the clocks of the resource. */
  write() {
    const [start, end] = [this.span.start, this.span.end].map((instant) => wall(instant, this.zone));
    [this.fields.date.value, this.fields.from.value] = start.split('T');
    this.fields.to.value = end.split('T')[1];
    this.isWritten = true;
  }

  get zone() {
    return this.resource?.timezone ?? this.column.zone;
  }

  async changed(field) {
    if (field === this.fields.resource) await this.offer();
    else if (field === this.fields.service) this.takeService();
    else if ([this.fields.date, this.fields.from, this.fields.to].includes(field)) this.retime(field);
    else if (field === this.fields.guests) this.ask();
  }

  /** A time that was typed: another start keeps the length. It is an instant where its day is drawn, else the API says. */
  retime(field) {
    this.isWritten = false;
    this.say(null);
    const { date, from, to } = this.fields;
    if (!date.value || !from.value || !to.value) return;
    if (field === to) {
      this.hasEnd = true;
      const minutes = (minutesOf(to.value) - minutesOf(from.value) + DAY_MINUTES) % DAY_MINUTES;
      this.span.end = this.span.start + (minutes || DAY_MINUTES) * MINUTE;
    }
    const length = this.span.end - this.span.start;
    if (field !== to) to.value = clockOf(minutesOf(from.value) + length / MINUTE);
    const column = this.drawing.columns.find((each) => each.date === date.value && each.zone === this.zone);
    if (!column) return;
    const start = instantOfWall(column, ...from.value.split(':').map(Number));
    this.span = { start, end: start + length };
    this.ask();
  }

  ask() {
    if (this.service?.durationType === 'full-day') return;
    const { resource, service, guests } = this.fields;
    const ends = this.service?.durationType === 'fixed' ? {} : { endTime: iso(this.span.end) };
    this.explainer.ask({ resource: resource.value, service: service.value, startTime: iso(this.span.start), ...ends, guests: guests.value });
  }

  say(said) {
    this.said.textContent = said?.text ?? '';
    this.said.classList.toggle('bad', said?.ok === false);
    this.said.classList.toggle('good', said?.ok === true);
  }

  /** The time as the body of a booking has it: instants as they were drawn, or what was typed. */
  time() {
    const { date, from, to } = this.fields;
    const kind = this.service?.durationType;
    const timezone = this.zone;
    if (kind === 'full-day') return { localStart: `${date.value}T00:00`, timezone };
    if (this.isWritten) return { startTime: iso(this.span.start), ...(kind === 'fixed' ? {} : { endTime: iso(this.span.end) }) };
    const start = { localStart: `${date.value}T${from.value}`, timezone };
    if (kind === 'fixed') return start;
    const next = new Date(`${date.value}T12:00:00Z`);
    next.setUTCDate(next.getUTCDate() + (to.value > from.value ? 0 : 1));
    return { ...start, localEnd: `${next.toISOString().slice(0, 10)}T${to.value}` };
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
      const { body: made } = await post(`/v1/reservations${force ? '?force=true' : ''}`, body, { key: this.keyFor(JSON.stringify(body)) });
      this.sent = null;
      this.dialog.close();
      notice(speak('calendar.booked'));
      await this.redraw(made.id);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.refuse(error);
    } finally {
      button.disabled = false;
    }
    return undefined;
  }

  /** One key for a request until it is answered, however often it is sent: what was not answered is not booked twice. */
  keyFor(body) {
    if (this.sent?.body !== body) {
      const bytes = crypto.getRandomValues(new Uint8Array(16));
      this.sent = { body, key: [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('') };
    }
    return this.sent.key;
  }

  refuse(error, text = null) {
    this.problem.hidden = !error && !text;
    this.problem.replaceChildren();
    if (text) this.problem.append(text);
    if (!error) return;
    const length = this.span.end - this.span.start;
    const offered = choices(error, this.zone, length, (choice) => this.take(choice, length, error));
    this.problem.append(element('ul', { class: 'reasons' }, ...reasons(error).map((reason) => element('li', {}, reason))));
    if (offered) this.problem.append(offered);
    this.say(null);
  }

  /** Book what was chosen instead. */
  take({ startTime, force }, length, error) {
    if (startTime) {
      const at = Date.parse(startTime);
      const isEnd = error.problem.errors?.[0]?.pointer === '/localEnd';
      this.span = isEnd ? { start: this.span.start, end: at } : { start: at, end: at + length };
      this.write();
    }
    this.submit({ force });
  }
}
