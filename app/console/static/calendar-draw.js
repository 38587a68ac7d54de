// Draws the columns: an axis for each zone and each day of another length, and of the bookings those in sight.

import { LEAST_PIXELS, instantAt, lanesOf, loads, pixels, top } from './calendar-geometry.js';
import { element } from './dialog.js';
import { localize, written, writtenRange, zoneName } from './time.js';
import { speak } from './words.js';

const MARGIN_PIXELS = 300;
const EARLY_HOURS = 1;

function place(node, values) {
  for (const [name, value] of Object.entries(values)) node.style.setProperty(name, value);
}

function axisOf(column) {
  const marks = column.hours.map(({ elapsed }) => {
    const at = column.start + elapsed * 60_000;
    const mark = element('span', { class: 'mark-of-hour', 'data-elapsed': elapsed }, written(at, 'hour', column.zone));
    place(mark, { top: `${pixels(elapsed * 60_000)}px` });
    return mark;
  });
  const body = element('div', { class: 'axis-body' }, ...marks);
  place(body, { height: `${pixels(column.end - column.start)}px` });
  const zone = element('div', { class: 'axis-head', title: column.zone }, zoneName(column.start, column.zone));
  return element('div', { class: 'axis', 'aria-hidden': 'true' }, zone, body);
}

export class Drawing {
  /** Draws into an element what `columnsOf` found in it. */
  constructor(root, columns, { canMove = false } = {}) {
    this.root = root;
    this.canMove = canMove;
    this.columns = columns;
    this.shown = new Map();
    this.draw();
    root.addEventListener('scroll', () => this.later(), { passive: true });
    this.sizes = new ResizeObserver(() => this.later());
    this.sizes.observe(root);
  }

  /** Draw anew: after other bookings came. */
  draw(columns = this.columns) {
    this.columns = columns;
    this.shown.clear();
    const parts = [];
    let last = null;
    for (const column of columns) {
      const like = `${column.zone} ${column.hours.map((each) => `${each.elapsed}=${each.hour}`)}`;
      if (like !== last) parts.push(axisOf(column));
      last = like;
      column.axis = parts.findLast((part) => part.classList.contains('axis'));
      this.prepare(column);
      parts.push(column.node);
    }
    this.root.replaceChildren(element('div', { class: 'columns' }, ...parts));
    this.root.classList.add('drawn');
    this.choose(this.columns[Math.min(this.current ?? this.firstColumn(), columns.length - 1)]);
    this.tick();
    this.look();
  }

  firstColumn() {
    const today = this.columns.findIndex((column) => 'today' in column.node.dataset);
    return this.root.dataset.view === 'week' ? Math.max(0, today) : 0;
  }

  /** On narrow screens one column is seen at a time: this one. */
  choose(column) {
    this.current = column.index;
    for (const each of this.columns) each.node.classList.toggle('current', each === column);
    for (const axis of this.root.querySelectorAll('.axis')) axis.classList.toggle('current', axis === column.axis);
    this.look();
  }

  prepare(column) {
    const { node } = column;
    node.querySelector('.spans')?.remove();
    node.querySelector('.bookings, .empty')?.remove();
    const lines = column.hours.map(({ elapsed }) => {
      const line = element('i', { class: 'line' });
      place(line, { top: `${pixels(elapsed * 60_000)}px` });
      return line;
    });
    column.grid = element('div', { class: 'lines', 'aria-hidden': 'true' }, ...lines);
    column.list = element('div', { class: 'drawn-bookings', role: 'group', 'aria-label': column.title });
    column.now = element('i', { class: 'now', 'aria-hidden': 'true', hidden: true });
    column.body = element('div', { class: 'body' }, column.grid, ...column.spans.map((span) => this.span(column, span)));
    column.body.append(...this.loads(column), column.list, column.now);
    place(column.body, { height: `${pixels(column.end - column.start)}px` });
    this.layOut(column);
    node.classList.remove('panel');
    node.append(column.body);
  }

  /** Give each booking of a column its lane; what is behind the last one is a number that leads to the day. */
  layOut(column) {
    const blocks = column.bookings.map((booking) => ({ booking, start: booking.blockStart, end: booking.blockEnd }));
    const places = lanesOf(blocks, column.capacity);
    column.lanes = new Map(blocks.map((block) => [block.booking, places.get(block)]));
    for (const cluster of new Set([...places.values()].map((each) => each.cluster))) {
      if (!cluster.hidden) continue;
      const address = new URL(document.getElementById('view-day').href);
      address.searchParams.set('date', column.date);
      const text = speak('calendar.further', { number: cluster.hidden });
      const more = element('a', { class: 'hidden-bookings', href: address, title: text, 'aria-label': text }, `+${cluster.hidden}`);
      place(more, {
        top: `${top(column, cluster.start)}px`,
        height: `${Math.max(LEAST_PIXELS, top(column, cluster.end) - top(column, cluster.start))}px`,
        left: `${(cluster.ownLanes / cluster.lanes) * 100}%`,
        width: `${100 / cluster.lanes}%`,
      });
      column.list.append(more);
    }
  }

  isHidden(booking) {
    const { lane, cluster } = booking.column.lanes.get(booking);
    return lane >= cluster.ownLanes;
  }

  span(column, { node, start, end }) {
    node.removeAttribute('role');
    node.setAttribute('aria-hidden', 'true');
    place(node, { top: `${top(column, start)}px`, height: `${top(column, end) - top(column, start)}px` });
    return node;
  }

  /** The depth of what is taken, at the edge of a column that takes more than one; in colour where it is too much. */
  loads(column) {
    if (column.capacity === 1 && column.bookings.length < 2) return [];
    const taken = column.bookings.map((each) => ({ start: each.blockStart, end: each.blockEnd, units: each.units }));
    return loads(taken)
      .filter((each) => each.units > column.capacity || column.capacity > 1)
      .map(({ start, end, units }) => {
        const over = units > column.capacity;
        const load = element('i', { class: over ? 'load over' : 'load', title: speak('calendar.load', { units, capacity: column.capacity }) });
        const [from, to] = [top(column, start), top(column, end)];
        place(load, { top: `${from}px`, height: `${to - from}px`, '--share': Math.min(1, units / column.capacity) });
        return load;
      });
  }

  later() {
    this.pending ??= requestAnimationFrame(() => {
      this.pending = null;
      this.look();
    });
  }

  /** Draw what is in sight, and take out what no longer is. */
  look() {
    const { scrollTop, scrollLeft, clientHeight, clientWidth } = this.root;
    const [from, to] = [scrollTop - MARGIN_PIXELS, scrollTop + clientHeight + MARGIN_PIXELS];
    for (const column of this.columns) {
      const { offsetLeft, offsetWidth } = column.node;
      const isNear = offsetWidth && offsetLeft < scrollLeft + clientWidth + MARGIN_PIXELS && offsetLeft + offsetWidth > scrollLeft - MARGIN_PIXELS;
      for (const booking of column.bookings) {
        const isSeen = isNear && !this.isHidden(booking) && top(column, booking.start) < to && top(column, booking.end) + LEAST_PIXELS > from;
        const key = booking.node;
        if (isSeen && !this.shown.has(key)) this.show(booking);
        else if (!isSeen && this.shown.has(key) && document.activeElement !== key && !key.matches('.moving')) this.hide(booking);
      }
    }
  }

  show(booking) {
    const { node, column } = booking;
    this.shown.set(node, booking);
    this.position(booking);
    node.setAttribute('role', 'button');
    node.tabIndex = column.bookings[0] === booking ? 0 : -1;
    if (this.canMove && booking.isMovable && !node.querySelector('.edge')) {
      const ends = ['start', 'end'].filter((edge) => (edge === 'start' ? booking.start >= column.start : booking.end <= column.end));
      const edges = ends.map((edge) => element('div', { class: `edge ${edge}`, 'data-edge': edge, 'aria-hidden': 'true' }));
      node.append(...edges);
    }
    localize(node);
    this.name(booking);
    column.list.append(node);
  }

  /** Write its times as the browser's locale has them, or those that it would have. */
  name(booking, { start, end } = booking, column = booking.column) {
    booking.node.querySelector('.hours').textContent = writtenRange(start, end, column.zone);
  }

  hide(booking) {
    this.shown.delete(booking.node);
    booking.node.remove();
  }

  /** Put a booking where its times are. */
  position(booking, { start, end, blockStart, blockEnd } = booking, column = booking.column, isMoving = false) {
    const { lane, cluster } = isMoving ? { lane: 0, cluster: { lanes: 1 } } : booking.column.lanes.get(booking);
    const { lanes } = cluster;
    const [from, to] = [top(column, start), top(column, end)];
    const height = Math.max(to - from, LEAST_PIXELS);
    place(booking.node, {
      top: `${from}px`,
      height: `${height}px`,
      left: `${(Math.min(lane, lanes - 1) / lanes) * 100}%`,
      width: `${100 / lanes}%`,
      '--before': `${from - top(column, blockStart)}px`,
      '--after': `${top(column, blockEnd) - to}px`,
    });
    booking.node.classList.toggle('small', height < 36);
  }

  /** A booking of the page by its id, in the column of its start if it is there. */
  find(id) {
    const found = this.columns.flatMap((column) => column.bookings.filter((each) => each.id === id));
    return found.find((each) => each.start >= each.column.start) ?? found[0];
  }

  /** Bring a booking into sight and give it the focus. */
  focus(booking) {
    this.choose(booking.column);
    this.reveal(booking.column, booking.start);
    if (!this.shown.has(booking.node)) this.show(booking);
    booking.node.focus({ preventScroll: true });
    booking.column.node.scrollIntoView({ block: 'nearest', inline: 'nearest' });
  }

  reveal(column, instant) {
    const y = top(column, instant);
    const { scrollTop, clientHeight } = this.root;
    if (y < scrollTop + 20 || y > scrollTop + clientHeight - 140) this.root.scrollTop = Math.max(0, y - clientHeight / 3);
  }

  /** A time of a column that is likely meant: after now, else in the middle of what is in sight. */
  likely(column, now = Date.now()) {
    const step = 15 * 60_000;
    if (now >= column.start && now < column.end - step) return Math.ceil(now / step) * step;
    const middle = this.root.scrollTop + this.root.clientHeight / 3;
    return instantAt(column, middle);
  }

  /** The line of now, where it is one of the days. */
  tick(now = Date.now()) {
    for (const column of this.columns) {
      column.now.hidden = now < column.start || now >= column.end;
      if (!column.now.hidden) place(column.now, { top: `${top(column, now)}px` });
    }
  }

  /** Begin where something is: now, else the first booking or the opening. */
  begin(now = Date.now()) {
    const here = this.columns.find((column) => now >= column.start && now < column.end);
    const starts = this.columns.map((column) => column.bookings[0]?.start ?? column.spans[0]?.end ?? column.start + 8 * 3_600_000);
    const first = Math.min(...starts.map((start, index) => top(this.columns[index], start)));
    this.root.scrollTop = (here ? top(here, now) : first) - pixels(EARLY_HOURS * 3_600_000);
  }
}
