// A link with a token after `#` signs in by itself: what stands there is sent to no server but in the form. Anybody can
// make such a link, so only a token that works once is taken, and a browser that is signed in asks first.

import { ask } from './dialog.js';
import { fetched } from './refresh.js';
import { speak } from './words.js';

const ONCE = 'once_';

/** Whether this browser is signed in; only a page's own requests bring the cookie, not the link that led here. */
async function hasSession() {
  const form = await fetched('sign-in');
  return !form || 'hasSession' in form.dataset;
}

const token = new URLSearchParams(location.hash.slice(1)).get('token') ?? '';
if (token) history.replaceState(null, '', location.pathname);
if (token.startsWith(ONCE)) {
  const form = document.getElementById('sign-in');
  if (!(await hasSession()) || (await ask(speak('sign_in.sure_link'), { yes: speak('sign_in.submit') }))) {
    form.elements.key.value = token;
    form.submit();
  }
}
