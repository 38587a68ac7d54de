// What the page says, as objects: columns with their bookings. The nodes of the page are kept: they are what is drawn.

import { hoursOf } from './calendar-geometry.js';

const number = (text) => Number(text);

function bookingOf(node, column) {
  const { id, version, resource, start, end, blockStart, blockEnd, units, guests, service, series } = node.dataset;
  return {
    id,
    resource,
    column,
    node,
    version: number(version) || 0,
    start: number(start),
    end: number(end),
    blockStart: number(blockStart ?? start),
    blockEnd: number(blockEnd ?? end),
    units: number(units) || 1,
    guests,
    service,
    series,
    isMovable: node.matches('.confirmed, .hold, .request') && number(version) > 0,
  };
}

function columnOf(node, index) {
  const { resources, date, zone, start, end, hours, capacity } = node.dataset;
  const column = {
    index,
    date,
    zone,
    node,
    resources: resources.split(' '),
    title: node.querySelector('h2').textContent.trim(),
    start: number(start),
    end: number(end),
    hours: hoursOf(hours),
    capacity: number(capacity),
    key: `${resources}@${date}`,
  };
  column.spans = [...node.querySelectorAll('.span')].map((each) => ({
    node: each,
    start: number(each.dataset.start),
    end: number(each.dataset.end),
  }));
  column.bookings = [...node.querySelectorAll('.booking')].map((each) => bookingOf(each, column));
  return column;
}

/** The columns of a calendar as the server renders it. */
export function columnsOf(calendar) {
  return [...calendar.querySelectorAll(':scope > .column')].map(columnOf);
}
