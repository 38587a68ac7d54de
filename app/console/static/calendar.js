// The calendar: the page of the server, drawn; changes of others; keys.

import { may } from './api.js';
import { BookDialog } from './calendar-book.js';
import { openDetails } from './calendar-details.js';
import { Drawing } from './calendar-draw.js';
import { useKeys, usePointer } from './calendar-hands.js';
import { columnsOf } from './calendar-model.js';
import { Mover } from './calendar-move.js';
import { follow } from './live.js';
import { fetched, refresh } from './refresh.js';
import { left, localize, written, writtenDates } from './time.js';
import { speak } from './words.js';

const choose = document.getElementById('choose');
choose?.addEventListener('change', () => choose.requestSubmit());

const period = document.getElementById('period');
if (period) {
  const [first, end] = [period.dataset.first, period.dataset.end].map((date) => new Date(`${date}T12:00:00Z`));
  end.setUTCDate(end.getUTCDate() - 1);
  const { view } = period.dataset;
  period.textContent = view === 'week' ? writtenDates(first, end) : written(first, view, 'UTC');
}

function count() {
  for (const time of document.querySelectorAll('.booking time[data-format="left"]')) {
    time.textContent = speak('today.seconds_left', { time: left((Date.parse(time.dateTime) - Date.now()) / 1_000) });
  }
}

function turn(by) {
  document.getElementById(by < 0 ? 'before' : 'after').click();
}

/** The calendar with what a key may do. */
function begin(root) {
  const canWrite = may('reservations:write');
  let last = root.innerHTML;
  root.tabIndex = 0;
  const drawing = new Drawing(root, columnsOf(root), { canMove: canWrite });
  const does = { open };

  /** Show what the server has now, and give the focus to a booking, or back to that which had it. */
  async function redraw(id = null) {
    const focused = id ?? document.activeElement?.dataset?.id;
    const fresh = await fetched('calendar');
    if (!fresh || does.mover?.isMoving) return;
    localize(fresh);
    if (fresh.innerHTML !== last) {
      last = fresh.innerHTML;
      drawing.draw(columnsOf(fresh));
      count();
    }
    const booking = focused && drawing.find(focused);
    if (booking && !document.querySelector('dialog[open]')) drawing.focus(booking);
  }

  async function open(booking) {
    const move = does.mover && ((each) => does.mover.begin(drawing.find(each.id) ?? each));
    if (await openDetails(booking, move, () => redraw(booking.id))) await redraw(booking.id);
    else if (!does.mover?.isMoving) {
      const still = drawing.find(booking.id);
      if (still) drawing.focus(still);
    }
  }

  if (canWrite) {
    const dialog = new BookDialog(document.getElementById('book'), drawing, redraw);
    does.mover = new Mover(drawing, redraw);
    does.book = (column, start, end) => dialog.open(column, start, end);
    const button = document.getElementById('new-booking');
    button.addEventListener('click', () => {
      const column = drawing.columns[drawing.current];
      does.book(column, drawing.likely(column), null);
    });
  }
  usePointer(drawing, does);
  useKeys(drawing, does, turn);
  usePaging(drawing);
  drawing.begin();
  setInterval(() => drawing.tick(), 30_000);
  setInterval(count, 1_000);
  count();
  follow(() => redraw());
}

/** On narrow screens one column is seen at a time: buttons to the others. */
function usePaging(drawing) {
  const pager = document.getElementById('columns');
  pager.hidden = false;
  pager.addEventListener('click', (event) => {
    const by = Number(event.target.closest('button')?.dataset.by ?? 0);
    const next = drawing.columns[drawing.current + by];
    if (by && next) drawing.choose(next);
  });
}

const root = document.getElementById('calendar');
if (root) begin(root);
else if (document.getElementById('month')) follow(() => refresh('month'));
