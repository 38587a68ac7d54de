// The operator's page: the figures anew, every few seconds.

import { follow } from './live.js';
import { refresh } from './refresh.js';

follow(() => refresh('board'), []);
