// Drawing the windows of a day by pointer: on free time a new one, in one to move it, at its edges to change it.

import { element } from './dialog.js';
import { DAY, wall } from './week.js';

const STEP = 15;
const EDGE_PIXELS = 7;

function place(block, { from, to }) {
  block.style.left = `${(100 * from) / DAY}%`;
  block.style.width = `${(100 * (Math.min(to, DAY) - from)) / DAY}%`;
  block.textContent = `${wall(from)}–${wall(to)}`;
  block.classList.toggle('over', to > DAY);
}

function grip(event, block) {
  const { left, right } = block.getBoundingClientRect();
  if (event.clientX - left < EDGE_PIXELS) return 'from';
  return right - event.clientX < EDGE_PIXELS ? 'to' : 'move';
}

/** Where the pointer takes a window, in whole steps. */
function dragged(start, how, by) {
  const whole = Math.round(by / STEP) * STEP;
  const within = (value, least, most) => Math.min(Math.max(value, least), most);
  if (how === 'new') {
    const edge = within(start.from + whole, 0, DAY);
    return { from: Math.min(start.from, edge), to: Math.max(start.from, edge, Math.min(start.from, edge) + STEP) };
  }
  if (how === 'from') return { from: within(start.from + whole, 0, start.to - STEP), to: start.to };
  if (how === 'to') return { from: start.from, to: within(start.to + whole, start.from + STEP, DAY) };
  const moved = within(whole, -start.from, DAY - start.to);
  return { from: start.from + moved, to: start.to + moved };
}

/** Draw windows, which are changed in place, on the track of a day; `changed` is called after each change. */
export function draw(track, windows, changed) {
  const blocks = new Map();
  const add = (window) => {
    const block = element('div', { class: 'block' });
    place(block, window);
    blocks.set(block, window);
    track.append(block);
    return block;
  };
  windows.forEach(add);
  track.addEventListener('pointerdown', (event) => {
    if (event.button !== 0) return;
    event.preventDefault();
    const box = track.getBoundingClientRect();
    const minutesOf = (pixels) => (pixels / box.width) * DAY;
    let block = event.target.closest('.block');
    const how = block ? grip(event, block) : 'new';
    if (!block) {
      const from = Math.min(Math.floor(minutesOf(event.clientX - box.left) / STEP) * STEP, DAY - STEP);
      const made = { from, to: from + STEP };
      windows.push(made);
      block = add(made);
    }
    const window = blocks.get(block);
    const start = { ...window };
    const over = start.to > DAY && how !== 'from'; // what runs past midnight is written, not drawn
    track.setPointerCapture(event.pointerId);
    const move = (moved) => {
      if (over) return;
      Object.assign(window, dragged(start, how, minutesOf(moved.clientX - event.clientX)));
      place(block, window);
    };
    const end = () => {
      track.removeEventListener('pointermove', move);
      windows.sort((one, other) => one.from - other.from);
      changed();
    };
    track.addEventListener('pointermove', move);
    track.addEventListener('lostpointercapture', end, { once: true });
  });
}
