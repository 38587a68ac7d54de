// A part of the page anew, as the server renders it now; what has the focus keeps it.

import { localize } from './time.js';

/** How often the page was asked for, and the last of these whose answer is known, by the id of the element. */
let asked = 0;
const answered = new Map();

/** Let the controls within an element be used that need the modules of the page: until these have run, they are disabled. */
export function enable(within) {
  for (const each of within.querySelectorAll('.needs-script:disabled')) each.disabled = false;
}

/**
 * An element of this page as the server renders it now; null where it could not be fetched, is not there, or is older
 * than what a later call has got.
 */
export async function fetched(id) {
  const mine = ++asked;
  let answer, text;
  try {
    answer = await fetch(location.pathname + location.search, { cache: 'no-store', headers: { Accept: 'text/html' } });
    text = await answer.text();
  } catch {
    return null;
  }
  if (answer.redirected) {
    location.assign(answer.url);
    return null;
  }
  if (!answer.ok || mine < (answered.get(id) ?? 0)) return null;
  answered.set(id, mine);
  return new DOMParser().parseFromString(text, 'text/html').getElementById(id);
}

/**
 * Fetch this page and put its element of that id in the place of ours; whether ours is as it was fetched.
 * `carry(old, fresh)` takes over what people have written meanwhile.
 */
export async function refresh(id, carry = () => {}) {
  const fresh = await fetched(id);
  const old = document.getElementById(id);
  if (!fresh) return false;
  localize(fresh);
  enable(fresh);
  if (fresh.isEqualNode(old)) return true;
  carry(old, fresh);
  const focused = old.contains(document.activeElement) ? document.activeElement : null;
  const place = focused && { id: focused.id, row: focused.closest('.row')?.dataset.id };
  old.replaceWith(fresh);
  if (place) {
    const row = place.row && fresh.querySelector(`.row[data-id="${CSS.escape(place.row)}"]`);
    ((place.id && document.getElementById(place.id)) || row || fresh.querySelector('.row'))?.focus();
  }
  return true;
}
