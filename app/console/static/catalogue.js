// Lists of the catalogue: a new object is made by the API, and its page opens.

import { post } from './api.js';
import { submitted } from './dialog.js';
import { offerZones } from './zones.js';

const dialog = document.getElementById('new');

function body(form) {
  const found = Object.fromEntries([...form].map(([name, text]) => [name, text.trim()]).filter(([, text]) => text));
  if (!('durationMinutes' in found)) return found;
  return { ...found, durationType: 'fixed', durationMinutes: Number(found.durationMinutes) };
}

document.getElementById('create')?.addEventListener('click', async () => {
  const { kind } = dialog.dataset;
  const opened = submitted('new', (form) => post(`/v1/${kind}`, body(form)));
  const zone = dialog.querySelector('[name="timezone"]');
  if (zone) zone.value = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const made = await opened;
  if (made) location.assign(`/console/catalogue/${kind}/${made.body.id}`);
});
offerZones();
