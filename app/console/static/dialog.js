// Notices that go by themselves, and questions in a <dialog>. Text is always set as text, never as markup.

import { Refused } from './api.js';
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

/** Say something at the edge of the page, until it is closed, or not looked at any more; with `undo`, a button that takes it back. */
export function notice(text, { undo, bad = false } = {}) {
  const toast = element('div', { class: bad ? 'toast bad' : 'toast' }, element('span', {}, text));
  const fade = () => setTimeout(() => (toast.matches(':focus-within, :hover') ? fade() : toast.remove()), SECONDS * 1_000);
  fade();
  if (undo) {
    const take = async () => {
      toast.remove();
      await undo();
    };
    toast.append(element('button', { type: 'button', onclick: take }, speak('layout.undo')));
  }
  toast.append(element('button', { type: 'button', class: 'quiet', 'aria-label': speak('layout.close'), onclick: () => toast.remove() }, '×'));
  document.getElementById('notices').append(toast);
  return toast;
}

/** Say why something was refused, in the words of the API. */
export function refusal(error) {
  const faults = error.problem?.errors ?? [];
  const details = faults.length ? ` (${faults.map((fault) => fault.detail).join(' ')})` : '';
  return notice((error.message ?? String(error)) + (faults.length > 1 ? details : ''), { bad: true });
}

/** What a call answers; where it was refused, nothing, and the refusal is said. */
export async function tried(calling) {
  try {
    return await calling;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    refusal(error);
    return null;
  }
}

/** A dialog with a title and content, until it is closed; what it was closed with. */
export async function show(title, content, buttons = [element('button', { value: 'close' }, speak('layout.close'))]) {
  const form = element('form', { method: 'dialog' }, ...buttons);
  const dialog = element('dialog', { 'aria-labelledby': 'dialog-title' }, element('h2', { id: 'dialog-title' }, title), content, form);
  document.body.append(dialog);
  dialog.showModal();
  buttons.at(-1).focus();
  await new Promise((resolve) => dialog.addEventListener('close', resolve, { once: true }));
  dialog.remove();
  return dialog.returnValue;
}

/** Ask a question; whether the answer is yes. */
export async function ask(question, { yes = speak('layout.yes'), no = speak('layout.no') } = {}) {
  const buttons = [element('button', { value: 'no' }, no), element('button', { value: 'yes', class: 'primary' }, yes)];
  return (await show(question, null, buttons)) === 'yes';
}

/** Show a secret that nothing shows again. */
export async function showSecret(title, secret) {
  const shown = element('output', { class: 'secret' }, secret);
  const copy = element('button', { type: 'button', onclick: () => navigator.clipboard?.writeText(secret) }, speak('layout.copy'));
  await show(title, shown, [copy, element('button', { value: 'close', class: 'primary' }, speak('layout.close'))]);
}

/**
 * Open a dialog of the page and call something with its form, until that succeeds or the dialog is closed. A refusal is
 * said within the dialog, and its fields stay, as they do where nothing was done: null.
 */
export async function submitted(id, calling) {
  const dialog = document.getElementById(id);
  const form = dialog.querySelector('form');
  const problem = form.querySelector('.problem');
  form.reset();
  problem.hidden = true;
  dialog.showModal();
  return new Promise((resolve) => {
    const controller = new AbortController();
    const { signal } = controller;
    const end = (result) => {
      controller.abort();
      if (dialog.open) dialog.close();
      resolve(result);
    };
    form.querySelector('[data-close]').addEventListener('click', () => end(null), { signal });
    dialog.addEventListener('close', () => end(null), { signal });
    form.addEventListener(
      'submit',
      async (event) => {
        event.preventDefault();
        const button = form.querySelector('.primary');
        button.disabled = true;
        problem.hidden = true;
        try {
          const result = await calling(new FormData(form));
          if (result !== null) end(result);
        } catch (error) {
          if (!(error instanceof Refused)) throw error;
          problem.textContent = error.message;
          problem.hidden = false;
        } finally {
          button.disabled = false;
        }
      },
      { signal },
    );
  });
}
