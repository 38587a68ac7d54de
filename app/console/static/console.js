// What every page does: local times, keys, the help sheet; its controls wait for its own modules.

import { enable } from './refresh.js';
import { localize } from './time.js';

localize();

const own = [...document.querySelectorAll('script[type="module"]')].filter(({ src }) => src !== import.meta.url);
const ran = Promise.all(own.map(({ src }) => import(src))); // each runs once, also where it is imported
ran.then(
  () => enable(document),
  () => {
    document.getElementById('unloaded').hidden = false;
  },
);

const help = document.getElementById('help');
const button = document.getElementById('help-button');
button?.addEventListener('click', () => help.showModal());

function isTyping(target) {
  return target instanceof Element && target.closest('input, textarea, select, [contenteditable]') !== null;
}

/** Move to the next or previous row of the page; the first one where none is focused. */
function step(by) {
  const rows = [...document.querySelectorAll('.row')];
  if (!rows.length) return;
  const at = rows.findIndex((row) => row.contains(document.activeElement));
  rows[at < 0 ? 0 : Math.min(rows.length - 1, Math.max(0, at + by))].focus();
}

let goes = false;
document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target) || document.querySelector('dialog[open]')) return;
  const key = event.key;
  if (goes) {
    goes = false;
    document.querySelector(`.pages a[data-key="${CSS.escape(key)}"]`)?.click();
  } else if (key === 'g') goes = true;
  else if (key === '?') help?.showModal();
  else if (key === 'j') step(1);
  else if (key === 'k') step(-1);
  else if (key === 'Escape') document.querySelector('.menu[open]')?.removeAttribute('open');
});
document.addEventListener('click', (event) => {
  const menu = document.querySelector('.menu[open]');
  if (menu && !menu.contains(event.target)) menu.removeAttribute('open');
});
