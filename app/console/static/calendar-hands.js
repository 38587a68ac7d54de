// The pointer and the keys: what is chosen, moved, drawn anew.

import { MINUTE, SNAP_MINUTES, instantAt, pixels, top } from './calendar-geometry.js';
import { element } from './dialog.js';

const DRAG_PIXELS = 4;
const ARROWS = ['ArrowUp', 'ArrowDown', 'ArrowLeft', 'ArrowRight'];
const STEP = SNAP_MINUTES * MINUTE;

/**
 * Let a pointer choose, move and draw. `does` has `open(booking)`, and where the key may write, `mover` and
 * `book(column, start, end)`.
 */
export function usePointer(drawing, does) {
  const { root } = drawing;
  const columnOf = (target) => drawing.columns.find((column) => column.body.contains(target));
  const bookingOf = (target) => drawing.shown.get(target.closest?.('.booking'));
  const yOf = (column, event) => event.clientY - column.body.getBoundingClientRect().top;
  let press = null;
  let isDragged = false;

  root.addEventListener('pointerdown', (event) => {
    isDragged = false;
    if (does.mover?.isMoving && !does.mover.isSent && !event.target.closest('.moving')) does.mover.cancel();
    if (event.button !== 0 || event.pointerType === 'touch' || !does.mover || does.mover.isMoving) return;
    const column = columnOf(event.target);
    if (!column) return;
    const booking = bookingOf(event.target);
    if (booking && !booking.isMovable) return;
    const part = event.target.dataset.edge ?? 'whole';
    press = { x: event.clientX, y: event.clientY, id: event.pointerId, column, booking, part };
    if (booking) press.grab = does.mover.grab(booking, event);
    else press.from = instantAt(column, yOf(column, event));
  });

  root.addEventListener('pointermove', (event) => {
    if (!press || event.pointerId !== press.id) return;
    if (!isDragged) {
      if (Math.hypot(event.clientX - press.x, event.clientY - press.y) < DRAG_PIXELS) return;
      isDragged = true;
      root.setPointerCapture(press.id);
      if (press.booking) does.mover.begin(press.booking, press.part);
      else {
        press.mark = element('div', { class: 'drawn-time' });
        press.column.body.append(press.mark);
      }
    }
    if (press.booking) {
      if (does.mover.isMoving) does.mover.point(event, press.grab);
      return;
    }
    const at = instantAt(press.column, yOf(press.column, event));
    press.span = { start: Math.min(press.from, at), end: Math.max(press.from, at) + STEP };
    press.mark.style.setProperty('top', `${top(press.column, press.span.start)}px`);
    press.mark.style.setProperty('height', `${pixels(press.span.end - press.span.start)}px`);
  });

  const leave = () => {
    press?.mark?.remove();
    press = null;
  };

  root.addEventListener('pointerup', async () => {
    const { booking, span, column } = press ?? {};
    leave();
    if (!isDragged) return;
    if (booking) {
      if (does.mover.isMoving) await does.mover.drop();
    } else if (span) does.book(column, span.start, span.end);
  });
  root.addEventListener('pointercancel', () => {
    if (press?.booking && does.mover.isMoving && !does.mover.isSent) does.mover.cancel();
    leave();
  });

  root.addEventListener('click', (event) => {
    if (isDragged || does.mover?.isMoving) return;
    const booking = bookingOf(event.target);
    const column = columnOf(event.target);
    if (booking) does.open(booking);
    else if (column && does.book) does.book(column, instantAt(column, yOf(column, event)), null);
  });
}

/** Let keys choose, move and book. `turn` goes to earlier (-1) or later dates. */
export function useKeys(drawing, does, turn) {
  const { root } = drawing;
  const chosen = () => drawing.shown.get(document.activeElement);

  /** The booking that an arrow leads to: the next of its column, or of a neighbour the one that is nearest in time. */
  function neighbour(booking, key) {
    const { column } = booking;
    if (key === 'ArrowUp' || key === 'ArrowDown') {
      return column.bookings[column.bookings.indexOf(booking) + (key === 'ArrowDown' ? 1 : -1)];
    }
    const beside = key === 'ArrowRight' ? drawing.columns.slice(column.index + 1) : drawing.columns.slice(0, column.index).reverse();
    const other = beside.find((each) => each.bookings.length);
    const distance = (each) => Math.abs(top(each.column, each.start) - top(column, booking.start));
    return other && [...other.bookings].sort((one, two) => distance(one) - distance(two))[0];
  }

  function choose(key) {
    const booking = chosen();
    const next = booking ? neighbour(booking, key) : drawing.columns[drawing.current].bookings[0] ?? drawing.columns.flatMap((each) => each.bookings)[0];
    if (next) drawing.focus(next);
    return next !== undefined;
  }

  function whileMoving(event) {
    if (!does.mover.press(event.key, event.shiftKey) && event.key !== 'Tab') return;
    event.preventDefault();
    event.stopPropagation();
  }

  root.addEventListener('keydown', (event) => {
    if (does.mover?.isMoving) return whileMoving(event);
    if (event.ctrlKey || event.metaKey || event.altKey) return undefined;
    const booking = chosen();
    if (ARROWS.includes(event.key) && choose(event.key)) event.preventDefault();
    else if (booking && (event.key === 'Enter' || event.key === ' ')) {
      event.preventDefault();
      does.open(booking);
    } else if (booking?.isMovable && event.key === 'm' && does.mover) does.mover.begin(booking);
    return undefined;
  });

  document.addEventListener('keydown', (event) => {
    const isTyping = event.target.closest?.('input, textarea, select');
    if (isTyping || event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]') || does.mover?.isMoving) return;
    if (event.key === '[') turn(-1);
    else if (event.key === ']') turn(1);
    else if (event.key === 'n' && does.book) {
      event.preventDefault();
      const column = chosen()?.column ?? drawing.columns[drawing.current];
      does.book(column, chosen()?.end ?? drawing.likely(column), null);
    } else if (event.key === 'j' || event.key === 'k') choose(event.key === 'j' ? 'ArrowDown' : 'ArrowUp');
  });
}
