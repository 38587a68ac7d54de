// Closures: made and deleted by the API; one that would strand bookings shows them as a list to decide on.

import { all, post, remove } from './api.js';
import { ask, element, notice, submitted, tried } from './dialog.js';
import { refresh } from './refresh.js';
import { decided } from './stranded.js';
import { edges } from './time.js';
import { speak } from './words.js';

const form = document.querySelector('#new form');
const choices = [...form.querySelectorAll('[data-choice]')];
const update = () => refresh('board');

/** What is chosen; where that is nothing, an empty list, which the API refuses: without a list it would close all. */
function named(data) {
  const chosen = choices.map(({ dataset }) => [dataset.choice, data.getAll(dataset.choice)]).filter(([, ids]) => ids.length);
  return chosen.length ? Object.fromEntries(chosen) : { resources: [] };
}

/** Times of day are those of the browser: an instant is the same at every resource. */
function body(data) {
  return { name: data.get('name').trim(), ...edges(data), ...(data.get('extent') === 'all' ? {} : named(data)) };
}

function box(name, { id, name: title }) {
  const input = element('input', { type: 'checkbox', name, value: id });
  return element('label', { class: 'check' }, input, element('span', {}, title, ' ', element('code', { class: 'faint' }, id)));
}

/** Show what can be chosen where not all is to be closed; it is read once. */
async function fit() {
  const isOffered = form.elements.extent.value === 'some';
  for (const each of choices) each.hidden = !isOffered;
  if (!isOffered || form.dataset.offers) return;
  form.dataset.offers = 'true';
  const lists = await tried(Promise.all(choices.map(({ dataset }) => all(`/v1/${dataset.choice}`))));
  if (!lists) delete form.dataset.offers;
  else choices.forEach((each, at) => each.append(...lists[at].map((item) => box(each.dataset.choice, item))));
}

document.getElementById('create').addEventListener('click', async () => {
  const opened = submitted('new', (data) => decided((query) => post(`/v1/closures${query}`, body(data))));
  fit();
  if (!(await opened)) return;
  await update();
  notice(speak('closures.made'));
});
form.addEventListener('change', fit);

document.addEventListener('click', async (event) => {
  const row = event.target.closest('[data-do="delete"]')?.closest('tr');
  if (!row || !(await ask(speak('closures.sure_delete', { name: row.dataset.name }), { yes: speak('closures.delete') }))) return;
  await tried(remove(`/v1/closures/${encodeURIComponent(row.dataset.id)}`, { ifMatch: Number(row.dataset.version) }));
  await update();
});
