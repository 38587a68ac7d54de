// A part of the page anew, as the server renders it now; what has the focus keeps it.

import { localize } from './time.js';

/** An element of this page as the server renders it now; null where it could not be fetched, or is not there. */
export async function fetched(id) {
  let answer;
  try {
    answer = await fetch(location.pathname + location.search, { cache: 'no-store', headers: { Accept: 'text/html' } });
  } catch {
    return null;
  }
  if (answer.redirected) {
    location.assign(answer.url);
    return null;
  }
  if (!answer.ok) return null;
  return new DOMParser().parseFromString(await answer.text(), 'text/html').getElementById(id);
}

/** Fetch this page and put its element of that id in the place of ours; whether it could be fetched. */
export async function refresh(id) {
  const fresh = await fetched(id);
  const old = document.getElementById(id);
  if (!fresh) return false;
  localize(fresh);
  if (fresh.isEqualNode(old)) return true;
  const focused = old.contains(document.activeElement) ? document.activeElement : null;
  const place = focused && { id: focused.id, row: focused.closest('.row')?.dataset.id };
  old.replaceWith(fresh);
  if (place) {
    const row = place.row && fresh.querySelector(`.row[data-id="${CSS.escape(place.row)}"]`);
    ((place.id && document.getElementById(place.id)) || row || fresh.querySelector('.row'))?.focus();
  }
  return true;
}
