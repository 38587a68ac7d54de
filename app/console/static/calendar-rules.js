// What the rules say: while something is moved or filled in, and when it was refused.

import { Refused, get, may } from './api.js';
import { element, show } from './dialog.js';
import { written, writtenRange, zoneName } from './time.js';
import { speak } from './words.js';

const PAUSE_MILLIS = 120;
const LIFTED = ['notice', 'horizon', 'schedule', 'time-off'];

/** Asks what the rules say of a time: one question at a time, and of several that come meanwhile the last one. */
export class Explainer {
  /** `tell` gets `{ ok, text }`, or null while the answer is awaited. */
  constructor(tell) {
    this.tell = tell;
  }

  /** Ask; `question` has the parameters of /v1/availability/explain. */
  ask(question) {
    this.wanted = new URLSearchParams(Object.entries(question).filter(([, value]) => value !== undefined && value !== null && value !== ''));
    if (this.turn) return;
    const turn = (this.turn = {});
    setTimeout(() => this.run(turn), PAUSE_MILLIS);
  }

  /** Answer what is asked in a turn; one that was stopped meanwhile tells nothing more. */
  async run(turn) {
    while (this.turn === turn && this.wanted) {
      const asked = this.wanted;
      this.wanted = null;
      const said = await explained(asked);
      if (this.turn === turn && !this.wanted) this.tell(said);
    }
    if (this.turn === turn) this.turn = null;
  }

  stop() {
    this.wanted = this.turn = null;
  }
}

/** The rules that say no; of a pool those of the resource that fits best. */
function fewestFailed({ checks, resources }) {
  const failed = (checks ? [checks] : resources.map((each) => each.checks)).map((each) => each.filter((check) => !check.ok));
  return failed.sort((one, other) => one.length - other.length)[0] ?? [];
}

/** What the rules say, `{ ok, text }`; also why they were not asked. */
async function explained(question) {
  try {
    const { body } = await get(`/v1/availability/explain?${question}`);
    const failed = fewestFailed(body);
    return { ok: body.bookable, text: body.bookable ? speak('calendar.bookable') : failed.map((check) => check.detail).join(' ') };
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return { ok: false, text: error.message };
  }
}

/** Members of a series that a refusal names at most. */
const MEMBERS_MAX = 10;

const failed = ({ checks = [] }) => checks.filter((check) => !check.ok).map((check) => check.detail);

/** The members of a series that are in the way, each with its local time and why. */
function members({ members: found = [] }) {
  const lines = found.slice(0, MEMBERS_MAX).map((each) => {
    const when = written(Date.parse(`${each.localStart}Z`), 'instant', 'UTC');
    return `${when}: ${each.detail ?? failed(each).join(' ')}`;
  });
  return found.length > MEMBERS_MAX ? [...lines, speak('review.more', { number: found.length - MEMBERS_MAX })] : lines;
}

/** The words of a refusal, rule by rule where there are several; of a series by its members. */
export function reasons(error) {
  const named = [...failed(error.problem), ...members(error.problem)];
  const faults = (error.problem.errors ?? []).map((fault) => fault.detail);
  return named.length ? named : faults.length ? faults : [error.message];
}

/** Whether the key may lift all rules that have refused. */
function isLiftable(error) {
  const refused = (error.problem.checks ?? []).filter((check) => !check.ok);
  return may('reservations:admin') && refused.length > 0 && refused.every((check) => LIFTED.includes(check.rule));
}

/**
 * What can be chosen instead, as buttons: the next free starts, the instants that a local time can mean, and to book
 * all the same. Each button calls `take` with what the request is to have then: `{ startTime }` or `{ force }`.
 * `spanWith` says which time an instant would make; of two that the clocks show alike the zone's name tells which.
 */
export function choices(error, zone, spanWith, take) {
  const starts = error.problem.nextFree ?? error.problem.choices ?? [];
  const buttons = starts.map((start) => {
    const at = Date.parse(start);
    const span = spanWith(at);
    const which = error.problem.choices ? ` (${zoneName(at, zone)})` : '';
    const text = `${written(span.start, 'date', zone)}, ${writtenRange(span.start, span.end, zone)}${which}`;
    return element('button', { type: 'button', class: 'next-free', 'data-start': start, onclick: () => take({ startTime: start }) }, text);
  });
  if (isLiftable(error)) {
    buttons.push(element('button', { type: 'button', class: 'danger', 'data-force': true, onclick: () => take({ force: true }) }, speak('calendar.force')));
  }
  if (!buttons.length) return null;
  const title = starts.length ? element('p', { class: 'faint' }, speak('calendar.next_free')) : null;
  return element('div', { class: 'choices' }, title, ...buttons);
}

/** Say why a change was refused, and offer what is free; what was chosen, `{ startTime }` or `{ force }`, or null. */
export async function refusedChoice(title, error, zone, length) {
  let chosen = null;
  const list = element('ul', { class: 'reasons' }, ...reasons(error).map((reason) => element('li', {}, reason)));
  const content = element('div', { class: 'refusal', role: 'alert' }, list);
  const offered = choices(error, zone, (at) => ({ start: at, end: at + length }), (choice) => {
    chosen = choice;
    content.closest('dialog').close();
  });
  if (offered) content.append(offered);
  await show(title, content);
  return chosen;
}
