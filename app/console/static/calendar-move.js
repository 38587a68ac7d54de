// Moving and prolonging: by the mouse, by the keyboard, and back again.

import { Refused, patch } from './api.js';
import { Explainer, refusedChoice } from './calendar-rules.js';
import { extent, moveSeries } from './calendar-series.js';
import { MINUTE, SNAP_MINUTES, instantAt, sameWall, snapped, top } from './calendar-geometry.js';
import { notice, refusal } from './dialog.js';
import { instantOf, wall, written, writtenRange } from './time.js';
import { speak } from './words.js';

const STEP = SNAP_MINUTES * MINUTE;
const EDGE_PIXELS = 40;
const SCROLL_PIXELS = 14;

const iso = (instant) => new Date(instant).toISOString();

export class Mover {
  /** `redraw` shows the calendar as it is now. */
  constructor(drawing, redraw) {
    this.drawing = drawing;
    this.redraw = redraw;
    this.bar = document.getElementById('calendar-bar');
    this.text = document.getElementById('calendar-status');
    this.bar.addEventListener('click', (event) => {
      const { key } = event.target.closest('button')?.dataset ?? {};
      if (key && this.isMoving) this.press(key);
    });
    this.explainer = new Explainer((said) => this.say(said));
    this.moved = null;
  }

  get isMoving() {
    return this.moved !== null;
  }

  /** Whether it was dropped, and the API has not answered yet; until then it stays there. */
  get isSent() {
    return this.moved?.isSent === true;
  }

  /** Take a booking: `whole`, or by its `start` or `end`; without a part by keys, which are also there as buttons. */
  begin(booking, part = null) {
    this.bar.classList.toggle('with-keys', part === null);
    const { start, end, column } = booking;
    this.moved = { booking, part: part ?? 'whole', start, end, column };
    booking.node.classList.add('moving');
    this.show();
  }

  /** Put what is moved there; nothing becomes shorter than a step. */
  to(column, start, end) {
    const { moved } = this;
    if (moved.column === column && moved.start === start && moved.end === end) return;
    Object.assign(moved, { column, start, end: Math.max(end, start + STEP) });
    this.show();
    this.ask();
  }

  show() {
    const { booking, column, start, end } = this.moved;
    const [before, after] = [booking.start - booking.blockStart, booking.blockEnd - booking.end];
    if (booking.node.parentElement !== column.list) {
      const hadFocus = document.activeElement === booking.node;
      column.list.append(booking.node);
      if (hadFocus) booking.node.focus({ preventScroll: true });
    }
    this.drawing.position(booking, { start, end, blockStart: start - before, blockEnd: end + after }, column, true);
    this.drawing.name(booking, { start, end }, column);
    this.say(null);
  }

  /** Say where it would be, and what the rules say of that. */
  say(said) {
    if (!this.moved) return;
    const { booking, column, start, end } = this.moved;
    booking.node.classList.toggle('refused', said?.ok === false);
    booking.node.classList.toggle('allowed', said?.ok === true);
    const where = column.resources.length === 1 && column.index !== booking.column.index ? ` · ${column.title}` : '';
    const when = `${written(start, 'date', column.zone)}, ${writtenRange(start, end, column.zone)}${where}`;
    this.bar.hidden = false;
    this.text.textContent = said ? `${when} · ${said.text}` : when;
    this.bar.classList.toggle('bad', said?.ok === false);
  }

  ask() {
    const { booking, column, start, end } = this.moved;
    this.explainer.ask({
      resource: this.resource(column),
      service: booking.service,
      startTime: iso(start),
      endTime: iso(end),
      guests: booking.guests,
      ignore: booking.id,
    });
  }

  /** The resource of a column: in that of a pool a booking stays where it is. */
  resource(column) {
    return column.resources.length === 1 ? column.resources[0] : this.moved.booking.resource;
  }

  end() {
    this.explainer.stop();
    this.moved?.booking.node.classList.remove('moving', 'refused', 'allowed');
    this.bar.hidden = true;
    this.moved = null;
  }

  /** Leave it where it was. */
  cancel() {
    const { booking } = this.moved;
    this.end();
    booking.column.list.append(booking.node);
    this.drawing.position(booking);
    this.drawing.name(booking);
    booking.node.focus({ preventScroll: true });
  }

  /** Leave it here: as the API allows it. */
  async drop() {
    if (this.isSent) return undefined;
    const { booking, column, start, end } = this.moved;
    const resource = this.resource(column);
    const changes = {};
    if (start !== booking.start) changes.startTime = iso(start);
    if (end - start !== booking.end - booking.start) changes.endTime = iso(end);
    if (resource !== booking.resource) changes.resource = resource;
    if (!Object.keys(changes).length) return this.cancel();
    this.moved.isSent = true;
    booking.node.classList.add('busy');
    const before = { startTime: iso(booking.start), endTime: iso(booking.end), resource: booking.resource };
    const which = booking.series ? await extent(speak('series.which_move')) : 'one';
    let done = null;
    if (which === 'one') done = await this.change(booking, changes, { column, length: end - start });
    else if (which) done = await this.changeSeries(booking, which, { column, start, end, resource });
    booking.node.classList.remove('busy');
    if (this.moved?.booking !== booking) return undefined;
    if (!done) {
      this.cancel();
      await this.redraw();
      return undefined;
    }
    this.end();
    await this.redraw(booking.id);
    if (which !== 'one') return notice(speak('series.moved'));
    const back = Object.fromEntries(Object.entries(before).filter(([name, value]) => done[name] !== value));
    return notice(speak('calendar.moved'), { undo: () => this.back(booking.id, back, done.version) });
  }

  /** Change a booking; where it is refused, as it was chosen then. What it is now, or null. */
  async change(booking, changes, { column, length, force = false }) {
    const path = `/v1/reservations/${encodeURIComponent(booking.id)}${force ? '?force=true' : ''}`;
    try {
      return (await patch(path, changes, booking.version)).body;
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      if (error.kind === 'stale') {
        notice(speak('calendar.stale'), { bad: true });
        return null;
      }
      const chosen = await refusedChoice(speak('calendar.not_moved'), error, column.zone, length);
      if (!chosen) return null;
      const { force: forced, ...instead } = chosen;
      const { endTime, ...rest } = { ...changes, ...instead };
      const ends = instead.startTime ? { endTime: iso(Date.parse(instead.startTime) + length) } : endTime ? { endTime } : {};
      return this.change(booking, { ...rest, ...ends }, { column, length, force: forced });
    }
  }

  /** Change several of a series as one of them; what it is now, or null where it was refused. */
  async changeSeries(booking, which, { column, ...to }) {
    try {
      return (await moveSeries(booking, which, to)).body;
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      if (error.kind === 'stale') notice(speak('calendar.stale'), { bad: true });
      else await refusedChoice(speak('calendar.not_moved'), error, column.zone, to.end - to.start);
      return null;
    }
  }

  async back(id, changes, version) {
    try {
      await patch(`/v1/reservations/${encodeURIComponent(id)}`, changes, version);
      notice(speak('calendar.moved_back'));
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      if (error.kind === 'stale') notice(speak('calendar.stale'), { bad: true });
      else refusal(error);
    }
    await this.redraw(id);
  }

  /** Do what a key does; whether it does anything. */
  press(key, withShift = false) {
    if (this.isSent) return true;
    if (key === 'Enter') this.drop();
    else if (key === 'Escape') this.cancel();
    else if (key.startsWith('Arrow')) this.step(key, withShift);
    else return false;
    return true;
  }

  /** Move by an arrow; with Shift the end alone. */
  step(key, withShift) {
    const { moved } = this;
    const { column, start, end } = moved;
    const by = { ArrowUp: -STEP, ArrowDown: STEP }[key];
    if (by && withShift) return this.to(column, start, end + by);
    if (by) return this.to(column, start + by, end + by);
    const next = this.drawing.columns[column.index + (key === 'ArrowRight' ? 1 : -1)];
    if (!next || withShift) return undefined;
    const begin = sameWall(start, column, next);
    this.to(next, begin, begin + end - start);
    return this.drawing.choose(next);
  }

  /** Follow a pointer that took the booking at `grab` pixels below its top. */
  point({ clientX, clientY }, grab) {
    const { booking, part } = this.moved;
    const column = part === 'whole' ? this.columnAt(clientX) : this.moved.column;
    const y = clientY - column.body.getBoundingClientRect().top;
    if (part === 'whole') {
      const isWhole = booking.start >= booking.column.start;
      const start = isWhole ? instantAt(column, y - grab, Math.round) : this.dragged(column, y - grab);
      this.to(column, start, start + booking.end - booking.start);
    } else if (part === 'end') this.to(column, booking.start, instantAt(column, y, Math.round));
    else this.to(column, Math.min(instantAt(column, y, Math.round), booking.end - STEP), booking.end);
    this.scroll(clientY);
  }

  /** Where a booking begins that is taken on a later day of it: as far off, by the clocks, as that part is dragged. */
  dragged(column, y) {
    const { booking } = this.moved;
    const by = Date.parse(column.date) - Date.parse(booking.column.date) + snapped(y);
    const local = Date.parse(`${wall(booking.start, booking.column.zone)}Z`) + by;
    return instantOf(new Date(local).toISOString().slice(0, 16), column.zone).getTime() + (booking.start % MINUTE);
  }

  columnAt(x) {
    const at = (column) => column.node.getBoundingClientRect();
    const shown = this.drawing.columns.filter((column) => column.node.offsetWidth);
    return shown.findLast((column) => at(column).left <= x) ?? shown[0];
  }

  scroll(y) {
    const { root } = this.drawing;
    const { top: above, bottom: below } = root.getBoundingClientRect();
    if (y < above + EDGE_PIXELS) root.scrollTop -= SCROLL_PIXELS;
    else if (y > below - EDGE_PIXELS) root.scrollTop += SCROLL_PIXELS;
  }

  /** How far below the top of a booking a pointer has taken it. */
  grab(booking, { clientY }) {
    return clientY - booking.column.body.getBoundingClientRect().top - top(booking.column, booking.start);
  }
}
