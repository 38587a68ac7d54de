// Calls of the REST API as the session: what a page does is what its key may do, refused in the same words.

import { speak } from './words.js';

const root = document.documentElement;

/** A refusal: the problem document of the API. */
export class Refused extends Error {
  constructor(problem, status) {
    super(problem.detail);
    this.problem = problem;
    this.status = status;
  }

  get kind() {
    return String(this.problem.type).replace('/problems/', '');
  }
}

/** Whether the key of the session has a scope. */
export function may(scope) {
  const scopes = (root.dataset.scopes ?? '').split(' ');
  return scopes.includes(scope) || scopes.includes('admin');
}

/**
 * One call; the answer is `{ body, tag }`, with the version of what was answered in `tag`.
 * Options: `body` (JSON), `ifMatch` (a tag or a version), `key` (an Idempotency-Key), `signal`.
 */
export async function call(method, path, { body, ifMatch, key, signal } = {}) {
  const headers = {};
  if (method !== 'GET') headers['X-CSRF-Token'] = root.dataset.csrf;
  if (body !== undefined) headers['Content-Type'] = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
  if (ifMatch !== undefined) headers['If-Match'] = typeof ifMatch === 'number' ? `"${ifMatch}"` : ifMatch;
  if (key !== undefined) headers['Idempotency-Key'] = key;
  let answer, text;
  try {
    answer = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body), signal, cache: 'no-store' });
    text = await answer.text();
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Refused({ type: '/problems/unreachable', title: '', detail: speak('layout.offline') }, 0);
  }
  if (answer.status === 401) {
    location.assign(`/console/sign-in?next=${encodeURIComponent(location.pathname + location.search)}`);
    return new Promise(() => {});
  }
  const json = parsed(text, answer);
  if (!answer.ok) throw new Refused(json, answer.status);
  return { body: json, tag: answer.headers.get('ETag') };
}

/** The JSON of an answer; a proxy that answers in the app's place has other words, or none. */
function parsed(text, { ok, status }) {
  if (ok && !text) return null;
  try {
    return JSON.parse(text);
  } catch {
    throw new Refused({ type: '/problems/unreachable', title: '', detail: speak('layout.garbled', { status }) }, status);
  }
}

export const get = (path, options) => call('GET', path, options);
export const post = (path, body, options = {}) => call('POST', path, { ...options, body });
export const patch = (path, body, ifMatch) => call('PATCH', path, { body, ifMatch });
export const put = (path, body, ifMatch) => call('PUT', path, { body, ifMatch });
export const remove = (path, options) => call('DELETE', path, options);

/** All items of a list, page after page, `most` at most. */
export async function all(path, most = 5_000) {
  const items = [];
  let cursor = null;
  do {
    const url = new URL(path, location.href);
    url.searchParams.set('limit', '200');
    if (cursor) url.searchParams.set('cursor', cursor);
    const { body } = await get(url.pathname + url.search);
    items.push(...body.items);
    cursor = body.next ?? null;
  } while (cursor && items.length < most);
  return items;
}
