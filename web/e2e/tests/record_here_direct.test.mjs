import { test } from 'node:test';
import { recordsHere } from '../lib/here.mjs';
import { scene } from '../lib/scene.mjs';

const stage = scene({ ALTHING_ROOMS__POLICY: 'auto' });

test('the sound of a direct call is recorded in the browser: told, played, downloaded', () => recordsHere(stage, 'direct', 'chromium', 'audio'));

test('a direct call is recorded in the browser: told, played, downloaded', () => recordsHere(stage, 'direct', 'chromium', 'call'));

test('a screen during a direct call is recorded in the browser: told, played, downloaded', () => recordsHere(stage, 'direct', 'chromium', 'screen'));
