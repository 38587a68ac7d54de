// Notices that go by themselves, and questions in a <dialog>. Text is always set as text, never as markup.

import { speak } from './words.js';

const SECONDS = 8;

/** An element with attributes and children; texts among the children are texts. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith('on')) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, '');
    else if (value !== false && value !== undefined && value !== null) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** Say something at the edge of the page; with `undo`, a button that takes it back. */
export function notice(text, { undo, bad = false } = {}) {
  const toast = element('div', { class: bad ? 'toast bad' : 'toast' }, element('span', {}, text));
  const gone = setTimeout(() => toast.remove(), SECONDS * 1_000);
  if (undo) {
    const take = async () => {
      clearTimeout(gone);
      toast.remove();
      await undo();
    };
    toast.append(element('button', { type: 'button', onclick: take }, speak('layout.undo')));
  }
  document.getElementById('notices').append(toast);
  return toast;
}

/** Say why something was refused, in the words of the API. */
export function refusal(error) {
  const faults = error.problem?.errors ?? [];
  const details = faults.length ? ` (${faults.map((fault) => fault.detail).join(' ')})` : '';
  return notice((error.message ?? String(error)) + (faults.length > 1 ? details : ''), { bad: true });
}

/** Ask a question; whether the answer is yes. */
export function ask(question, { yes = speak('layout.yes'), no = speak('layout.no') } = {}) {
  const title = element('h2', { id: 'question' }, question);
  const agree = element('button', { value: 'yes', class: 'primary' }, yes);
  const form = element('form', { method: 'dialog' }, element('button', { value: 'no' }, no), agree);
  const dialog = element('dialog', { 'aria-labelledby': 'question' }, title, form);
  document.body.append(dialog);
  dialog.showModal();
  agree.focus();
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve(dialog.returnValue === 'yes');
    });
  });
}
