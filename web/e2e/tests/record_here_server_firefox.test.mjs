import { test } from 'node:test';
import { installed } from '../lib/browsers.mjs';
import { recordsHere } from '../lib/here.mjs';
import { inNamespace } from '../lib/namespace.mjs';
import { scene } from '../lib/scene.mjs';

const skip = installed.firefox && inNamespace() ? false : 'SKIPPED: Firefox needs a network namespace: run as root on Linux with iproute2';

const stage = scene();

test('the sound of a call by way of the server is recorded in the browser in Firefox: told, played, downloaded', { skip }, () => recordsHere(stage, 'server', 'firefox', 'audio'));

test('a call by way of the server is recorded in the browser in Firefox: told, played, downloaded', { skip }, () => recordsHere(stage, 'server', 'firefox', 'call'));

test('a screen during a call by way of the server is recorded in the browser in Firefox: told, played, downloaded', { skip }, () => recordsHere(stage, 'server', 'firefox', 'screen'));
