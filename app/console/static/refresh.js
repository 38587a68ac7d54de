// A part of the page anew, as the server renders it now; what has the focus keeps it.

import { localize } from './time.js';

/** Fetch this page and put its element of that id in the place of ours; whether it could be fetched. */
export async function refresh(id) {
  let answer;
  try {
    answer = await fetch(location.pathname, { cache: 'no-store', headers: { Accept: 'text/html' } });
  } catch {
    return false;
  }
  if (answer.redirected) {
    location.assign(answer.url);
    return false;
  }
  if (!answer.ok) return false;
  const fresh = new DOMParser().parseFromString(await answer.text(), 'text/html').getElementById(id);
  const old = document.getElementById(id);
  if (!fresh || fresh.isEqualNode(old)) return fresh !== null;
  localize(fresh);
  const focused = old.contains(document.activeElement) ? document.activeElement : null;
  const place = focused && { id: focused.id, row: focused.closest('.row')?.dataset.id };
  old.replaceWith(fresh);
  if (place) {
    const row = place.row && fresh.querySelector(`.row[data-id="${CSS.escape(place.row)}"]`);
    ((place.id && document.getElementById(place.id)) || row || fresh.querySelector('.row'))?.focus();
  }
  return true;
}
