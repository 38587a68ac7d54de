// Instants as the browser's locale writes them, in the zone of a resource; and countdowns to an instant.

const MINUTE = 60_000;
const DAY = 1_440 * MINUTE;

const made = new Map();

function format(zone, options, locale = navigator.language) {
  const key = `${locale} ${zone} ${JSON.stringify(options)}`;
  if (!made.has(key)) {
    try {
      made.set(key, new Intl.DateTimeFormat(locale, { ...options, timeZone: zone || undefined }));
    } catch {
      made.set(key, new Intl.DateTimeFormat(locale, { ...options, timeZone: 'UTC' }));
    }
  }
  return made.get(key);
}

const FORMATS = {
  time: { hour: 'numeric', minute: '2-digit' },
  date: { weekday: 'short', day: 'numeric', month: 'short' },
  day: { weekday: 'long', day: 'numeric', month: 'long', year: 'numeric' },
  dated: { weekday: 'short', day: 'numeric', month: 'short', year: 'numeric' },
  instant: { dateStyle: 'medium', timeStyle: 'short' },
  hour: { hour: 'numeric', minute: '2-digit' },
  weekday: { weekday: 'short' },
  month: { month: 'long', year: 'numeric' },
};

/** An instant by one of the formats above. */
export function written(instant, kind, zone) {
  return format(zone, FORMATS[kind]).format(instant);
}

/** A time from one instant to another, `9:00 – 10:30 AM`. */
export function writtenRange(start, end, zone) {
  return format(zone, FORMATS.hour).formatRange(start, end);
}

/** Dates from one to another, `Nov 30 – Dec 6, 2026`. */
export function writtenDates(first, last) {
  return format('UTC', { day: 'numeric', month: 'short', year: 'numeric' }).formatRange(first, last);
}

const API_LOCALE = 'en-US-u-ca-gregory-nu-latn';
const NUMERIC = { year: 'numeric', month: '2-digit', day: '2-digit', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' };

/** What the clocks of a zone show, as the API writes local times, `2026-03-08T09:30`: in no locale's calendar or digits. */
export function wall(instant, zone) {
  const parts = Object.fromEntries(format(zone, NUMERIC, API_LOCALE).formatToParts(instant).map((part) => [part.type, part.value]));
  return `${parts.year}-${parts.month}-${parts.day}T${parts.hour}:${parts.minute}`;
}

/** What a zone calls itself at an instant: `GMT+1`. */
export function zoneName(instant, zone) {
  const parts = format(zone, { timeZoneName: 'short' }).formatToParts(instant);
  return parts.find((part) => part.type === 'timeZoneName')?.value ?? zone;
}

/** Seconds as `4:05` or `2:03:09`; none is less than zero. */
export function left(seconds) {
  const whole = Math.max(0, Math.ceil(seconds));
  const [hours, minutes, rest] = [Math.floor(whole / 3_600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (number) => String(number).padStart(2, '0');
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

/** A number with the separators of the locale. */
export function number(value) {
  return new Intl.NumberFormat(navigator.language).format(value);
}

/** The instant of a wall time, `2030-01-07T09:00`, in a zone: of one that there is twice the first; in a gap, later by the gap. */
export function instantOf(local, zone) {
  const asUtc = Date.parse(`${local}:00Z`);
  const offset = (instant) => Date.parse(`${wall(instant, zone)}:00Z`) - Math.floor(instant / MINUTE) * MINUTE;
  const [before, after] = [asUtc - offset(asUtc - DAY), asUtc - offset(asUtc + DAY)];
  const found = [before, after].filter((instant) => wall(instant, zone) === local);
  return new Date(found.length ? Math.min(...found) : before);
}

/** The edges that a form names: dates, the last of them included, or instants in a zone where times of day are written. */
export function edges(form, zone) {
  const { fromDate, fromTime, toDate, toTime } = Object.fromEntries(form);
  if (!fromTime && !toTime) {
    const last = new Date(`${toDate}T00:00:00Z`);
    last.setUTCDate(last.getUTCDate() + 1);
    return { from: fromDate, to: last.toISOString().slice(0, 10) };
  }
  const at = (date, time) => instantOf(`${date}T${time || '00:00'}`, zone).toISOString();
  return { from: at(fromDate, fromTime), to: at(toDate, toTime) };
}

/** Write all times (also texts of pictures, with `data-instant`) and numbers within an element anew. */
export function localize(within = document) {
  for (const each of within.querySelectorAll('[data-format="number"]')) each.textContent = number(each.textContent);
  for (const time of within.querySelectorAll('time[data-format], text[data-format]')) {
    const instant = new Date(time.dateTime ?? time.dataset.instant);
    const kind = time.dataset.format;
    if (Number.isNaN(instant.getTime()) || !(kind in FORMATS)) continue;
    time.textContent = written(instant, kind, time.dataset.zone);
    if (time.dataset.zone && kind === 'time' && 'title' in time) time.title = `${written(instant, 'instant', time.dataset.zone)} (${time.dataset.zone})`;
  }
}
