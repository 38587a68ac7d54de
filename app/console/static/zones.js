// The names of time zones that the browser knows, to choose from.

import { element } from './dialog.js';

/** Fill the list of time zones of the page, if it has one. */
export function offerZones() {
  const list = document.getElementById('zones');
  list?.append(...Intl.supportedValuesOf('timeZone').map((name) => element('option', { value: name })));
}
