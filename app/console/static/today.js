// Today: buttons that call the API, countdowns of holds, changes of others.

import { may, post } from './api.js';
import { ask, notice, tried } from './dialog.js';
import { follow } from './live.js';
import { refresh } from './refresh.js';
import { left } from './time.js';
import { speak, speakOf } from './words.js';

const QUESTIONS = { cancel: 'today.sure_cancel' };
const REOPENED = new Set(['complete', 'no-show']);
const update = () => refresh('board');

async function act(form) {
  const row = form.closest('.row');
  if (row.classList.contains('busy')) return;
  const { verb, id } = form.dataset;
  if (verb in QUESTIONS && !(await ask(speak(QUESTIONS[verb]), { yes: speakOf('verb', verb) }))) return;
  row.classList.add('busy');
  const path = `/v1/reservations/${encodeURIComponent(id)}`;
  if (await tried(post(`${path}/${verb}`))) {
    const undo = async () => {
      await tried(post(`${path}/reopen`, { reason: speak('today.undone') }));
      await update();
    };
    notice(speakOf('done', verb), REOPENED.has(verb) && may('reservations:admin') ? { undo } : {});
  }
  row.classList.remove('busy');
  await update();
}

document.addEventListener('submit', (event) => {
  if (!event.target.dataset.verb) return;
  event.preventDefault();
  act(event.target);
});

const over = new Set();

/** Write the seconds that holds have left; when one has none left, look once: where this clock is fast, it is still there. */
function count() {
  const before = over.size;
  for (const time of document.querySelectorAll('time[data-format="left"]')) {
    const seconds = (Date.parse(time.dateTime) - Date.now()) / 1_000;
    time.textContent = speak('today.seconds_left', { time: left(seconds) });
    if (seconds < 0) over.add(`${time.closest('.row').dataset.id} ${time.dateTime}`);
  }
  if (over.size > before) update();
}

count();
setInterval(count, 1_000);
follow(update);
