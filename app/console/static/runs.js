// Reconciliations: asked for by the API, and looked at each second until none waits or runs.

import { post } from './api.js';
import { notice, tried } from './dialog.js';
import { follow } from './live.js';
import { refresh } from './refresh.js';
import { speak } from './words.js';

const LOOK_MILLIS = 1_000;
const UNENDED = 'tr[data-state="queued"], tr[data-state="running"]';

let looking = null;
let waits = false;

/** Show the runs as they are now, and look again as long as one has not ended. */
async function update() {
  clearTimeout(looking);
  await refresh('board');
  const unended = document.querySelector(UNENDED) !== null;
  if (unended) looking = setTimeout(update, LOOK_MILLIS);
  else if (waits) notice(speak('runs.ended'));
  waits = unended;
}

document.getElementById('ask').addEventListener('submit', async (event) => {
  event.preventDefault();
  waits = (await tried(post('/v1/reconciliations', { full: event.submitter.value === 'full' }))) !== null || waits;
  await update();
});
follow(update, []);
update();
