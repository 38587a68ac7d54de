// One finding: decisions, moves that were proposed, the steps to the next and the previous one.

import { filled, keepActor } from './actor.js';
import { Refused, post } from './api.js';
import { notice, refusal } from './dialog.js';
import { follow } from './live.js';
import { refresh } from './refresh.js';
import { instantOf } from './time.js';
import { speak, speakOf } from './words.js';

const FIELDS = ['note', 'until', 'assignee'];
const finding = () => document.getElementById('finding');
const path = () => `/v1/findings/${finding().dataset.id}`;
const version = () => Number(finding().dataset.version);

/** Take over what is being written, up to the last letter before the finding is replaced. */
function carry(old, fresh) {
  for (const name of FIELDS) {
    const [field, other] = [old, fresh].map((each) => each.querySelector(`#${name}`));
    if (field && other && field.value !== field.defaultValue) other.value = field.value;
  }
  fresh.querySelector('details.text').open = old.querySelector('details.text').open;
}

/** The finding as it is now; what is being written stays. */
async function update() {
  await refresh('finding', carry);
  keepActor(document.getElementById('actor'));
}

/** Do something, say what came of it, and show the finding as it is then. */
async function attempt(action) {
  if (finding().classList.contains('busy')) return;
  finding().classList.add('busy');
  try {
    notice(await action());
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    refusal(error);
    if (error.kind === 'stale') notice(speak('finding.stale'), { bad: true });
  }
  finding().classList.remove('busy');
  await update();
}

async function decide(form, verb) {
  const body = filled(form, 'note', 'actor', 'assignee');
  if (verb === 'assign') Object.assign(body, filled(document.getElementById('decision'), 'actor'));
  const until = form.elements.until?.value;
  if (verb === 'accept' && until) body.until = instantOf(`${until}T00:00`, finding().dataset.zone).toISOString();
  await post(`${path()}/${verb}`, body, { ifMatch: version() });
  if (form.elements.note) form.elements.note.value = '';
  return speakOf('finding_done', verb);
}

/** Move, and resolve the finding if that was all; whoever still overlaps keeps it as it is. */
async function move(form) {
  const { reservation, version: seen, resource, startTime } = Object.fromEntries(new FormData(form));
  const who = form.closest('li').querySelector('strong').textContent;
  await post('/v1/moves', { moves: [{ reservation, version: Number(seen), resource, startTime }] });
  const body = { note: speak('finding.move_note', { who }), ...filled(document.getElementById('decision'), 'actor') };
  try {
    await post(`${path()}/resolve`, body, { ifMatch: version() });
    return speak('finding.moved_resolved');
  } catch (error) {
    if (!(error instanceof Refused) || !['forbidden-transition', 'stale'].includes(error.kind)) throw error;
    return speak('finding.moved_still');
  }
}

document.addEventListener('submit', (event) => {
  const form = event.target;
  if (!form.closest('#finding')) return;
  event.preventDefault();
  attempt(() => ('move' in form.dataset ? move(form) : decide(form, event.submitter.value)));
});

/** The steps through the list that this finding was opened from. */
function steps() {
  const queue = JSON.parse(sessionStorage.getItem('reserva-queue') ?? 'null');
  if (!queue) return;
  document.getElementById('back').href = queue.address;
  const at = queue.ids.indexOf(finding().dataset.id);
  if (at < 0) return;
  document.getElementById('steps').hidden = false;
  document.getElementById('step').textContent = speak('finding.step', { number: at + 1, total: queue.ids.length });
  for (const [name, id] of [['previous', queue.ids[at - 1]], ['next', queue.ids[at + 1]]]) {
    const link = document.getElementById(name);
    if (id) link.href = `/console/review/${id}`;
    else link.setAttribute('aria-disabled', 'true');
  }
}

const KEYS = { j: 'next', k: 'previous', u: 'back' };
document.addEventListener('keydown', (event) => {
  const typing = event.target.closest?.('input, textarea, select');
  if (event.ctrlKey || event.metaKey || event.altKey || typing || document.querySelector('dialog[open]')) return;
  if (event.key in KEYS) document.getElementById(KEYS[event.key]).click();
  if (event.key === 'n') {
    event.preventDefault();
    document.getElementById('note').focus();
  }
});

keepActor(document.getElementById('actor'));
steps();
follow(update);  // its reservations count as well
