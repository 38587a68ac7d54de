// The fields of an object of the catalogue: what was changed is sent as a merge patch.

import { notice } from './dialog.js';
import { refresh } from './refresh.js';
import { edited } from './stranded.js';
import { speak } from './words.js';
import { offerZones } from './zones.js';

const object = document.getElementById('object');
const form = document.getElementById('fields');

/** What is in a field. */
const written = { checked: (box) => box.checked, text: (input) => input.value, isShown: (input) => !input.closest('[hidden]') };

/** What the page came with: people write before a script is there, and browsers fill in again what was written. */
const given = {
  checked: (box) => box.defaultChecked,
  text: (input) => (input.options ? ([...input.options].find((each) => each.defaultSelected) ?? input.options[0]).value : input.defaultValue),
  isShown: () => true,
};

function value(input, { checked, text, isShown }) {
  if (!isShown(input)) return null;
  if (input.type === 'checkbox') return checked(input);
  const found = text(input).trim();
  if (!found) return null;
  return input.type === 'number' ? Number(found) : found;
}

/** All fields as the API has them; what is empty, or belongs to another type of service, is null. */
function values(state) {
  const found = Object.fromEntries([...form.elements].filter((input) => input.name).map((input) => [input.name, value(input, state)]));
  const services = [...form.querySelectorAll('[data-service]')];
  if (object.dataset.kind === 'resources') found.services = services.filter(state.checked).map((box) => box.dataset.service);
  return found;
}

/** Show those fields alone that the type of the service has. */
function fit() {
  const type = form.elements.durationType?.value;
  for (const each of form.querySelectorAll('[data-only]')) each.hidden = each.dataset.only !== type;
}

async function save() {
  const now = values(written);
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
let before = values(given);
form.addEventListener('change', fit);
form.addEventListener('submit', (event) => {
  event.preventDefault();
  save();
});
offerZones();
