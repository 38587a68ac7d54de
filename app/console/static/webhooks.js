// Webhooks: made, tested, turned off and on, and deleted by the API; what came of the last deliveries.

import { get, patch, post, remove } from './api.js';
import { ask, element, notice, show, showSecret, submitted, tried } from './dialog.js';
import { follow } from './live.js';
import { refresh } from './refresh.js';
import { written } from './time.js';
import { speak } from './words.js';

const update = () => refresh('board');
const path = (row) => `/v1/webhooks/${row.dataset.id}`;

document.getElementById('create').addEventListener('click', async () => {
  const made = await submitted('new', (form) => {
    const types = form.getAll('types');
    return post('/v1/webhooks', { url: form.get('url'), ...(types.length ? { types } : {}) });
  });
  if (!made) return;
  await showSecret(speak('webhooks.secret'), made.body.secret);
  await update();
});

async function turn(row, active) {
  await tried(patch(path(row), { active }, Number(row.dataset.version)));
  await update();
}

const DOES = {
  test: async (row) => {
    const answer = await tried(post(`${path(row)}/test`));
    if (!answer) return;
    const { delivered, status, error } = answer.body;
    notice(delivered ? speak('webhooks.tested') : speak('webhooks.test_failed', { why: error ?? status }), { bad: !delivered });
  },
  on: (row) => turn(row, true),
  off: (row) => turn(row, false),
  deliveries: async (row) => {
    const answer = await tried(get(`${path(row)}/deliveries?limit=20`));
    if (!answer) return;
    const rows = answer.body.items.map((each) =>
      element(
        'li',
        {},
        element('span', { class: each.delivered ? 'badge good' : 'badge bad' }, String(each.status ?? speak('webhooks.unanswered'))),
        ` ${written(new Date(each.at), 'instant')} `,
        element('code', {}, each.type),
        each.error ? element('p', { class: 'faint' }, each.error) : null,
      ),
    );
    const list = rows.length ? element('ol', { class: 'plain' }, ...rows) : element('p', { class: 'empty' }, speak('webhooks.deliveries_none'));
    await show(speak('webhooks.deliveries'), list);
  },
  delete: async (row) => {
    if (!(await ask(speak('webhooks.sure_delete', { url: row.dataset.name }), { yes: speak('webhooks.delete') }))) return;
    await tried(remove(path(row)));
    await update();
  },
};

document.addEventListener('click', (event) => {
  const button = event.target.closest('[data-do]');
  if (button) DOES[button.dataset.do](button.closest('tr'));
});
follow(update, []);
