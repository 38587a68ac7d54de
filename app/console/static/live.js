// Changes of others: by the stream of events where the key may read it, else by asking every 15 seconds.

import { may } from './api.js';
import { speak } from './words.js';

const POLL_SECONDS = 15;
const GATHER_MILLIS = 250;

/** Call `changed` after changes of others, at most a few times a second, and when the page is looked at again. */
export function follow(changed) {
  const mark = document.getElementById('live');
  let waiting = null;
  const soon = () => {
    waiting ??= setTimeout(() => {
      waiting = null;
      if (!document.hidden) changed();
    }, GATHER_MILLIS);
  };
  const show = (isLive) => {
    mark.hidden = false;
    mark.classList.toggle('lost', !isLive);
    mark.textContent = isLive ? speak('layout.live') : speak('layout.offline');
  };
  document.addEventListener('visibilitychange', () => document.hidden || soon());
  setInterval(soon, POLL_SECONDS * 1_000);
  if (!may('events:read')) return;
  const stream = new EventSource('/v1/events/stream?after=now');
  stream.onopen = () => show(true);
  stream.onerror = () => show(false);
  stream.onmessage = soon;
}
