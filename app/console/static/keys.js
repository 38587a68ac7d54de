// Keys: made, rotated and revoked by the API; a secret is shown once.

import { post } from './api.js';
import { ask, notice, showSecret, submitted, tried } from './dialog.js';
import { refresh } from './refresh.js';
import { speak } from './words.js';

const update = () => refresh('board');

document.getElementById('create').addEventListener('click', async () => {
  const made = await submitted('new', (form) => {
    const body = { name: form.get('name'), scopes: form.getAll('scopes') };
    if (form.get('customer')) body.customer = form.get('customer');
    if (form.get('days')) body.expiresAt = new Date(Date.now() + form.get('days') * 86_400_000).toISOString();
    return post('/v1/keys', body);
  });
  if (!made) return;
  await showSecret(speak('keys.secret'), made.body.secret);
  await update();
});

const DOES = {
  rotate: async (row) => {
    const rotated = await submitted('rotation', (form) =>
      post(`/v1/keys/${row.dataset.id}/rotate`, { overlapMinutes: Number(form.get('minutes')) }),
    );
    if (!rotated) return;
    await showSecret(speak('keys.secret'), rotated.body.secret);
    await update(); // it may lead away: the session ends with the old secret of its key
  },
  revoke: async (row) => {
    if (!(await ask(speak('keys.sure_revoke', { name: row.dataset.name }), { yes: speak('keys.revoke') }))) return;
    if (await tried(post(`/v1/keys/${row.dataset.id}/revoke`))) notice(speak('keys.is_revoked', { name: row.dataset.name }));
    await update();
  },
};

document.addEventListener('click', (event) => {
  const button = event.target.closest('[data-do]');
  if (button) DOES[button.dataset.do](button.closest('tr'));
});
