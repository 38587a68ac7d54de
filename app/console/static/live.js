// Changes of others: by the stream of events where the key may read it, else by asking every 15 seconds.

import { may } from './api.js';
import { speak } from './words.js';

const POLL_SECONDS = 15;
const AGAIN_SECONDS = 5;
const GATHER_MILLIS = 250;
const PAUSE_MILLIS = 2_000;

/** All types of events; the stream names each of its events by one of them. */
export const EVENT_TYPES = [
  'reservation.created',
  'reservation.held',
  'reservation.requested',
  'reservation.confirmed',
  'reservation.changed',
  'reservation.moved',
  'reservation.cancelled',
  'reservation.expired',
  'reservation.completed',
  'reservation.no-show',
  'reservation.reopened',
  'finding.opened',
  'finding.changed',
  'finding.resolved',
  'customer.erased',
];

/**
 * Call `changed` after changes of others, soon and at most every two seconds, every 15 seconds, and when the page is looked at
 * again. `types` are the events that count; without any the page asks alone.
 */
export function follow(changed, types = EVENT_TYPES) {
  let waiting = null;
  let last = -Infinity;
  const soon = () => {
    const pause = last + PAUSE_MILLIS - performance.now();
    waiting ??= setTimeout(() => {
      waiting = null;
      last = performance.now();
      if (!document.hidden) changed();
    }, Math.max(GATHER_MILLIS, pause));
  };
  document.addEventListener('visibilitychange', () => document.hidden || soon());
  setInterval(soon, POLL_SECONDS * 1_000);
  if (types.length && may('events:read') && may('reservations:read')) listen(types, soon);
}

/** Listen as long as the page is looked at: a browser has few connections to a host, and every tab takes one. */
function listen(types, heard) {
  const mark = document.getElementById('live');
  let stream = null;
  const show = (isLive) => {
    mark.hidden = false;
    mark.classList.toggle('lost', !isLive);
    mark.textContent = isLive ? speak('layout.live') : speak('layout.lost');
  };
  const close = () => {
    stream?.close();
    stream = null;
  };
  const tune = () => {
    if (document.hidden) close();
    else if (stream === null) {
      stream = new EventSource('/v1/events/stream?after=now');
      stream.onopen = () => show(true);
      stream.onerror = () => {
        show(false);
        if (stream.readyState !== EventSource.CLOSED) return;  // it connects again by itself
        close();
        setTimeout(tune, AGAIN_SECONDS * 1_000);
      };
      for (const type of types) stream.addEventListener(type, heard);
    }
  };
  document.addEventListener('visibilitychange', tune);
  tune();
}
