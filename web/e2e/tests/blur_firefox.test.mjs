import { blurs } from '../lib/blur.mjs';
import { installed } from '../lib/browsers.mjs';
import { inNamespace } from '../lib/namespace.mjs';
import { scene } from '../lib/scene.mjs';

blurs(scene(), 'firefox', installed.firefox && inNamespace() ? false : 'SKIPPED: Firefox needs a network namespace: run as root on Linux with iproute2');
