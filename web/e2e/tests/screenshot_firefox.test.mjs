import { test } from 'node:test';
import { installed } from '../lib/browsers.mjs';
import { inNamespace } from '../lib/namespace.mjs';
import { scene } from '../lib/scene.mjs';
import { takesTile } from '../lib/shots.mjs';

const skip = installed.firefox && inNamespace() ? false : 'SKIPPED: Firefox needs a network namespace: run as root on Linux with iproute2';
const stages = { direct: scene({ ALTHING_ROOMS__POLICY: 'auto' }), server: scene() };

for (const way of /** @type {const} */ (['direct', 'server'])) {
  test(`${way}: a screenshot in Firefox has the size of its picture, and is saved with what was drawn on it`, { skip }, () => takesTile(stages[way], way, 'firefox'));
}
