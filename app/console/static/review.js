// The queue: keys, several at once, changes of others.

import { filled, keepActor } from './actor.js';
import { post } from './api.js';
import { notice, tried } from './dialog.js';
import { follow } from './live.js';
import { refresh } from './refresh.js';
import { speakCount, speakOf } from './words.js';

const VERBS = { acknowledged: 'acknowledge', accepted: 'accept', resolved: 'resolve', open: 'reopen' };
const many = document.getElementById('many');
const picked = new Set();

/** Keep the ids and the address of the list for the steps from finding to finding, and show what is selected. */
function show() {
  const rows = [...document.querySelectorAll('#queue .row')];
  const ids = rows.map((row) => row.dataset.id);
  sessionStorage.setItem('reserva-queue', JSON.stringify({ ids, address: location.pathname + location.search }));
  for (const id of picked) if (!ids.includes(id)) picked.delete(id);
  for (const box of document.querySelectorAll('#queue .pick')) {
    box.checked = picked.has(box.value);
  }
  many.hidden = picked.size === 0;
  document.getElementById('picked').textContent = speakCount('review.picked', picked.size);
  const open = document.getElementById('queue').dataset.open;
  document.title = document.title.replace(/^\(\d+\)/, `(${open})`);
}

async function update() {
  await refresh('queue');
  show();
}

async function say(to) {
  if (many.classList.contains('busy')) return;
  many.classList.add('busy');
  const body = { ids: [...picked], to, ...filled(many, 'note', 'actor') };
  const verb = speakOf('finding_verb', VERBS[to]);
  const answer = await tried(post('/v1/findings/words', body));
  if (answer) {
    const { items } = answer.body;
    const refused = items.filter((item) => item.problem);
    for (const item of items) if (!item.problem) picked.delete(item.id);
    if (refused.length < items.length) notice(speakCount('review.said', items.length - refused.length, { verb }));
    if (refused.length) notice(speakCount('review.refused', refused.length, { detail: refused[0].problem.detail }), { bad: true });
    many.elements.note.value = '';
  }
  many.classList.remove('busy');
  await update();
}

document.addEventListener('change', (event) => {
  if (!event.target.matches('.pick')) return;
  if (event.target.checked) picked.add(event.target.value);
  else picked.delete(event.target.value);
  show();
});
document.addEventListener('keydown', (event) => {
  if (!event.target.matches?.('.row') || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === 'Enter') event.target.querySelector('a').click();
  else if (event.key === 'x') event.target.querySelector('.pick').click();
});
many.addEventListener('submit', (event) => {
  event.preventDefault();
  say(event.submitter.value);
});
document.getElementById('pick-none').addEventListener('click', () => {
  picked.clear();
  show();
});
document.querySelector('#filter select').addEventListener('change', (event) => event.target.form.requestSubmit());

keepActor(many.elements.actor);
show();
follow(update, ['finding.opened', 'finding.changed', 'finding.resolved']);
