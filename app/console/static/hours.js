// The hours of a resource: a week to draw in or to write, dates with hours of their own, times off.

import { get } from './api.js';
import { ask, element, notice, tried } from './dialog.js';
import { draw } from './hours-draw.js';
import { refresh } from './refresh.js';
import { edited } from './stranded.js';
import { edges, wall as wallTime } from './time.js';
import { DAY, DAYS, byDay, line, minutes, parse, read, shown, wall, weekly } from './week.js';
import { speak, speakOf } from './words.js';

const object = document.getElementById('object');
const place = document.getElementById('week');
const path = `/v1/resources/${encodeURIComponent(object.dataset.id)}`;
const state = { always: true, week: byDay([]), overrides: [], past: [] };

const rowOf = (day) => place.querySelector(`[data-day="${day}"]`);

/** The time of an input; one that cannot be read leaves the window as it was. The row stays, for what has the focus. */
function input(day, window, edge, label) {
  const field = element('input', { class: 'time', value: wall(window[edge]), maxlength: 5, inputmode: 'numeric', 'aria-label': label });
  field.addEventListener('change', () => {
    const found = minutes(field.value);
    if (found !== null && !(edge === 'from' && found === DAY)) {
      Object.assign(window, read({ ...shown(window), [edge]: wall(found) }));
    }
    field.value = wall(window[edge]);
    rowOf(day).querySelector('.track').replaceWith(trackOf(day));
  });
  return field;
}

function button(text, label, onclick, className = 'quiet') {
  return element('button', { type: 'button', class: className, 'aria-label': label, title: label, onclick }, text);
}

/** Write the row of a day anew; `focus` is what has the focus then. */
function renew(day, focus) {
  rowOf(day).replaceWith(dayOf(day));
  if (focus) rowOf(day).querySelector(focus).focus();
}

function windowsOf(day) {
  const name = speakOf('day', day);
  const windows = state.week[day];
  const pairs = windows.map((window) =>
    element(
      'span',
      { class: 'pair' },
      input(day, window, 'from', speak('hours.opens', { day: name })),
      '–',
      input(day, window, 'to', speak('hours.closes', { day: name })),
      button('×', speak('hours.remove_window', { day: name }), () => {
        windows.splice(windows.indexOf(window), 1);
        renew(day, '.more');
      }),
    ),
  );
  const add = () => {
    const from = Math.min((windows.at(-1)?.to ?? 480) + 60, DAY - 60);
    windows.push({ from, to: Math.min(from + 480, DAY) });
    renew(day, '.pair:last-of-type input');
  };
  const copy = () => {
    for (const other of DAYS.slice(DAYS.indexOf(day) + 1)) {
      state.week[other] = windows.map((window) => ({ ...window }));
      renew(other);
    }
  };
  return element(
    'div',
    { class: 'windows' },
    ...pairs,
    button('+', speak('hours.add_window', { day: name }), add, 'quiet more'),
    day === 'sun' ? null : button('⇊', speak('hours.copy', { day: name }), copy),
  );
}

function trackOf(day) {
  const track = element('div', { class: 'track', 'aria-hidden': 'true' });
  draw(track, state.week[day], () => renew(day));
  return track;
}

function dayOf(day) {
  return element('div', { class: 'day', 'data-day': day }, element('strong', {}, speakOf('day', day)), trackOf(day), windowsOf(day));
}

function overrideOf(override) {
  const date = element('input', { type: 'date', value: override.date, required: true, 'aria-label': speak('hours.date') });
  const windows = element('input', { value: line(override.windows), placeholder: speak('hours.closed'), 'aria-label': speak('hours.windows') });
  date.addEventListener('change', () => (override.date = date.value));
  windows.addEventListener('change', () => {
    const found = parse(windows.value);
    windows.setAttribute('aria-invalid', found === null);
    windows.setCustomValidity(found === null ? speak('hours.unreadable') : '');
    if (found === null) return;
    override.windows = found;
    windows.value = line(found);
  });
  const gone = button('×', speak('hours.remove'), () => {
    state.overrides.splice(state.overrides.indexOf(override), 1);
    render();
  });
  return element('li', {}, date, windows, gone);
}

function render() {
  const kinds = [['always', true], ['weekly', false]].map(([name, value]) => {
    const radio = element('input', { type: 'radio', name: 'kind', checked: state.always === value, onchange: () => { state.always = value; render(); } });
    return element('label', { class: 'check' }, radio, ` ${speakOf('hours_kind', name)}`);
  });
  const ticks = element('div', { class: 'ticks', 'aria-hidden': 'true' }, ...[0, 6, 12, 18, 24].map((hour) => element('span', {}, String(hour))));
  const add = button(speak('hours.add_date'), speak('hours.add_date'), () => {
    state.overrides.push({ date: '', windows: [] });
    render();
    place.querySelector('.dates li:last-child input').focus();
  }, '');
  const form = element(
    'form',
    { id: 'hours' },
    element('fieldset', { class: 'kinds' }, element('legend', { class: 'unseen' }, speak('hours.title')), ...kinds),
    state.always ? null : element('div', { class: 'days' }, ticks, ...DAYS.map(dayOf)),
    element('h3', {}, speak('hours.dates')),
    state.overrides.length ? element('ul', { class: 'dates' }, ...state.overrides.map(overrideOf)) : element('p', { class: 'faint' }, speak('hours.dates_none')),
    element('div', { class: 'ends' }, add, element('button', { class: 'primary', id: 'save-hours' }, speak('hours.save'))),
  );
  form.addEventListener('submit', save);
  place.replaceChildren(form);
}

async function save(event) {
  event.preventDefault();
  const overrides = [...state.past, ...state.overrides.map(({ date, windows }) => ({ date, windows: windows.map(shown) }))];
  const body = { ...(state.always ? {} : { weekly: weekly(state.week) }), ...(overrides.length ? { overrides } : {}) };
  if (!(await edited('PUT', `${path}/schedule`, body))) return;
  await refresh('history');
  notice(speak('hours.saved'));
}

async function load() {
  const answer = await tried(get(`${path}/schedule`));
  if (!answer) return;
  const [today] = wallTime(new Date(), object.dataset.zone).split('T');
  const { weekly: stored, overrides = [] } = answer.body;
  state.always = stored === undefined;
  state.week = byDay(stored ?? []);
  state.past = overrides.filter((each) => each.date < today);
  state.overrides = overrides.filter((each) => each.date >= today).map(({ date, windows }) => ({ date, windows: windows.map(read) }));
  render();
}

async function addOff(form) {
  const reason = form.elements.reason.value.trim();
  if (!(await edited('POST', `${path}/time-off`, { ...edges(new FormData(form), object.dataset.zone), ...(reason ? { reason } : {}) }))) return;
  form.reset();
  await Promise.all([refresh('off'), refresh('history')]);
  notice(speak('hours.off_added'));
}

if (object.dataset.edit === 'true') {
  load();
  document.addEventListener('submit', (event) => {
    if (event.target.id !== 'add-off') return;
    event.preventDefault();
    addOff(event.target);
  });
  document.addEventListener('click', async (event) => {
    const row = event.target.closest('[data-do="remove-off"]')?.closest('li');
    if (!row || !(await ask(speak('hours.sure_remove'), { yes: speak('hours.remove') }))) return;
    if (await edited('DELETE', `${path}/time-off/${encodeURIComponent(row.dataset.id)}`)) await Promise.all([refresh('off'), refresh('history')]);
  });
}
