// The person behind a key that several share: said once, kept by the browser, and sent with every decision.

const KEY = 'reserva-actor';

/** Fill a field with the name, and keep what is written there. */
export function keepActor(field) {
  if (!field) return;
  field.value ||= localStorage.getItem(KEY) ?? '';
  field.addEventListener('input', () => localStorage.setItem(KEY, field.value.trim()));
}

/** The fields of a form that are not empty, by their names. */
export function filled(form, ...names) {
  const values = names.map((name) => [name, form.elements[name]?.value.trim()]);
  return Object.fromEntries(values.filter(([, value]) => value));
}
