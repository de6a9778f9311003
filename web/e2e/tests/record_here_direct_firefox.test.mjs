import { test } from 'node:test';
import { installed } from '../lib/browsers.mjs';
import { recordsHere } from '../lib/here.mjs';
import { inNamespace } from '../lib/namespace.mjs';
import { scene } from '../lib/scene.mjs';

const skip = installed.firefox && inNamespace() ? false : 'SKIPPED: Firefox needs a network namespace: run as root on Linux with iproute2';

const stage = scene({ ALTHING_ROOMS__POLICY: 'auto' });

test('the sound of a direct call is recorded in the browser in Firefox: told, played, downloaded', { skip }, () => recordsHere(stage, 'direct', 'firefox', 'audio'));

test('a direct call is recorded in the browser in Firefox: told, played, downloaded', { skip }, () => recordsHere(stage, 'direct', 'firefox', 'call'));

test('a screen during a direct call is recorded in the browser in Firefox: told, played, downloaded', { skip }, () => recordsHere(stage, 'direct', 'firefox', 'screen'));
