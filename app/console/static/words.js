// The words of the page's language, as the templates have them: `speak('today.title')`, `speakOf('done', verb)`,
// `speakCount('today.guests', 3)`.

const words = await (await fetch(document.documentElement.dataset.words)).json();

function filled(text, values) {
  return text.replace(/\{(\w+)\}/g, (place, name) => (name in values ? String(values[name]) : place));
}

export function speak(path, values = {}) {
  const [group, name] = path.split('.');
  return filled(words[group][name], values);
}

export function speakOf(group, name, values = {}) {
  return filled(words[group][name] ?? name, values);
}

/** The text for a number: that of `group.name_one` for one, else of `group.name_many`. */
export function speakCount(path, number, values = {}) {
  return speak(`${path}_${number === 1 ? 'one' : 'many'}`, { number, ...values });
}
