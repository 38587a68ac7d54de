// The services that a resource offers: of the first thousand by one list, those beyond one by one.

import { all, get } from './api.js';

const LISTED_MAX = 1_000;
const READ_SINGLY_MAX = 50;

export class Services {
  listed = null;

  single = new Map();

  /** The active ones of some ids; `isCut` where there may be more than could be read. */
  async offered(ids) {
    this.listed ??= await all('/v1/services?active=true', LISTED_MAX);
    const found = this.listed.filter(({ id }) => ids.includes(id));
    if (this.listed.length < LISTED_MAX) return { services: found, isCut: false };
    const beyond = ids.filter((id) => !found.some((each) => each.id === id));
    const read = await Promise.all(beyond.slice(0, READ_SINGLY_MAX).map((id) => this.read(id)));
    return { services: [...found, ...read.filter((each) => each?.active)], isCut: beyond.length > READ_SINGLY_MAX };
  }

  /** A service; null where there is none. It is read once. */
  async read(id) {
    if (!this.single.has(id)) {
      const path = `/v1/services/${encodeURIComponent(id)}`;
      const missing = (error) => {
        if (error.status !== 404) throw error;
        return { body: null };
      };
      this.single.set(id, (await get(path).catch(missing)).body);
    }
    return this.single.get(id);
  }
}
