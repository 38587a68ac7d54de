// The fields of an object of the catalogue: what was changed is sent as a merge patch.

import { notice } from './dialog.js';
import { refresh } from './refresh.js';
import { edited } from './stranded.js';
import { speak } from './words.js';
import { offerZones } from './zones.js';

const object = document.getElementById('object');
const form = document.getElementById('fields');

function value(input) {
  if (input.closest('[hidden]')) return null;
  if (input.type === 'checkbox') return input.checked;
  const text = input.value.trim();
  if (!text) return null;
  return input.type === 'number' ? Number(text) : text;
}

/** All fields as the API has them; what is empty, or belongs to another type of service, is null. */
function values() {
  const found = Object.fromEntries([...form.elements].filter((input) => input.name).map((input) => [input.name, value(input)]));
  const services = [...form.querySelectorAll('[data-service]')];
  if (object.dataset.kind === 'resources') found.services = services.filter((box) => box.checked).map((box) => box.dataset.service);
  return found;
}

/** Show those fields alone that the type of the service has. */
function fit() {
  const type = form.elements.durationType?.value;
  for (const each of form.querySelectorAll('[data-only]')) each.hidden = each.dataset.only !== type;
}

async function save() {
  const now = values();
  const changed = Object.entries(now).filter(([name, each]) => JSON.stringify(each) !== JSON.stringify(before[name]));
  if (!changed.length) return notice(speak('catalogue.unchanged'));
  const path = `/v1/${object.dataset.kind}/${encodeURIComponent(object.dataset.id)}`;
  const answer = await edited('PATCH', path, Object.fromEntries(changed));
  if (!answer) return null;
  before = now;
  document.querySelector('h1').textContent = answer.body.name;
  await refresh('history');
  return notice(speak('catalogue.saved'));
}

fit();
let before = values();
form.addEventListener('change', fit);
form.addEventListener('submit', (event) => {
  event.preventDefault();
  save();
});
offerZones();
