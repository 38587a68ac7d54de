// A field that finds a customer by typing, or offers to make one.

import { all, get, may, post } from './api.js';
import { element, tried } from './dialog.js';
import { speak } from './words.js';

const LISTED_MAX = 1_000;
const SHOWN_MAX = 8;

const folded = (text) => text.normalize('NFD').replace(/\p{M}/gu, '').toLowerCase();

export class CustomerField {
  /** `input` is a combobox, and `list` its listbox; `hint` says how those are found that are not listed. */
  constructor(input, list, hint) {
    this.input = input;
    this.list = list;
    this.hint = hint;
    this.reset();
    input.addEventListener('input', () => {
      this.picked = null;
      this.suggest();
    });
    input.addEventListener('keydown', (event) => this.onKey(event));
    input.addEventListener('blur', () => this.close());
    list.addEventListener('pointerdown', (event) => {
      event.preventDefault();
      const option = event.target.closest('[role=option]');
      if (option) this.pick(option);
    });
  }

  reset() {
    this.picked = null;
    this.input.value = '';
    this.close();
  }

  /** The first thousand customers; of more, the others are found by what the API knows them by, as a whole. */
  load() {
    this.loading ??= all('/v1/customers', LISTED_MAX).then(
      (customers) => {
        this.isCut = customers.length >= LISTED_MAX;
        return customers.filter((each) => each.name);
      },
      (error) => {
        this.loading = null;
        throw error;
      },
    );
    return this.loading;
  }

  async suggest() {
    const text = this.input.value.trim();
    if (!text) return this.close();
    const wanted = folded(text);
    const found = (await tried(this.find(text, wanted))) ?? [];
    if (this.input.value.trim() !== text) return undefined;
    const options = found.map((each) => this.option(each, each.name, each.email ?? each.phone ?? each.externalId ?? ''));
    if (may('reservations:write')) options.push(this.option({ isNew: true, name: text }, speak('calendar.make_customer', { name: text }), ''));
    this.list.replaceChildren(...options);
    this.hint.hidden = !this.isCut || found.length === SHOWN_MAX;
    this.list.hidden = false;
    this.input.setAttribute('aria-expanded', 'true');
    return this.mark(0);
  }

  async find(text, wanted) {
    const isWanted = ({ name, email, phone, externalId }) => [name, email, phone, externalId].some((each) => each && folded(each).includes(wanted));
    const found = (await this.load()).filter(isWanted).slice(0, SHOWN_MAX);
    const field = text.includes('@') ? 'email' : 'externalId';
    if (found.length || !(this.isCut || field === 'email')) return found;
    return (await get(`/v1/customers?${new URLSearchParams({ [field]: text })}`)).body.items.filter((each) => each.name);
  }

  option(customer, name, more) {
    this.count = (this.count ?? 0) + 1;
    const made = element('li', { role: 'option', id: `customer-${this.count}`, 'aria-selected': 'false' }, element('span', {}, name), element('small', { class: 'faint' }, more));
    made.customer = customer;
    return made;
  }

  mark(index) {
    const options = [...this.list.children];
    this.marked = Math.min(Math.max(index, 0), options.length - 1);
    options.forEach((option, at) => option.setAttribute('aria-selected', String(at === this.marked)));
    const option = options[this.marked];
    if (option) {
      this.input.setAttribute('aria-activedescendant', option.id);
      option.scrollIntoView({ block: 'nearest' });
    }
  }

  onKey(event) {
    if (this.list.hidden) return;
    if (event.key === 'ArrowDown') this.mark(this.marked + 1);
    else if (event.key === 'ArrowUp') this.mark(this.marked - 1);
    else if (event.key === 'Enter') this.pick(this.list.children[this.marked]);
    else if (event.key === 'Escape') this.close();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  pick(option) {
    this.picked = option.customer;
    this.input.value = option.customer.name;
    this.close();
  }

  close() {
    this.list.hidden = this.hint.hidden = true;
    this.list.replaceChildren();
    this.input.setAttribute('aria-expanded', 'false');
    this.input.removeAttribute('aria-activedescendant');
  }

  /** The id of the customer that was chosen, made first where it is new; undefined for none. */
  async id() {
    if (this.picked?.isNew) {
      this.picked = (await post('/v1/customers', { name: this.picked.name })).body;
      this.loading = null;
    }
    return this.picked?.id;
  }

  /** Whether something was typed that is no customer. */
  get isOpen() {
    return this.picked === null && this.input.value.trim() !== '';
  }
}
