// The words of the page's language, as the templates have them: `speak('today.title')`, `speakOf('done', verb)`.

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
