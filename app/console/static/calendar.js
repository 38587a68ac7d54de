// The calendar: the page of the server, drawn; changes of others; keys.

import { Drawing } from './calendar-draw.js';
import { columnsOf } from './calendar-model.js';
import { follow } from './live.js';
import { fetched, refresh } from './refresh.js';
import { left, written } from './time.js';
import { speak } from './words.js';

const choose = document.getElementById('choose');
choose?.addEventListener('change', () => choose.requestSubmit());

const period = document.getElementById('period');
if (period) {
  const [first, end] = [period.dataset.first, period.dataset.end].map((date) => new Date(`${date}T12:00:00Z`));
  end.setUTCDate(end.getUTCDate() - 1);
  const kind = { day: 'day', week: 'week', month: 'month' }[period.dataset.view];
  period.textContent = kind === 'week' ? `${written(first, 'date', 'UTC')} – ${written(end, 'day', 'UTC')}` : written(first, kind, 'UTC');
}

function count() {
  for (const time of document.querySelectorAll('.booking time[data-format="left"]')) {
    time.textContent = speak('today.seconds_left', { time: left((Date.parse(time.dateTime) - Date.now()) / 1_000) });
  }
}

const root = document.getElementById('calendar');
if (root) {
  root.tabIndex = 0;
  const drawing = new Drawing(root, columnsOf(root));
  drawing.begin();
  const update = async () => {
    const fresh = await fetched('calendar');
    if (!fresh) return;
    const focused = document.activeElement?.dataset?.id;
    drawing.draw(columnsOf(fresh));
    const booking = focused && drawing.find(focused);
    if (booking) drawing.focus(booking);
    count();
  };
  setInterval(() => drawing.tick(), 30_000);
  setInterval(count, 1_000);
  count();
  follow(update);
} else if (document.getElementById('month')) {
  follow(() => refresh('month'));
}
