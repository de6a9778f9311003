import { test } from 'node:test';
import { recordsHere } from '../lib/here.mjs';
import { scene } from '../lib/scene.mjs';

const stage = scene();

test('the sound of a call by way of the server is recorded in the browser: told, played, downloaded', () => recordsHere(stage, 'server', 'chromium', 'audio'));

test('a call by way of the server is recorded in the browser: told, played, downloaded', () => recordsHere(stage, 'server', 'chromium', 'call'));

test('a screen during a call by way of the server is recorded in the browser: told, played, downloaded', () => recordsHere(stage, 'server', 'chromium', 'screen'));
