// Writes ../dashboards/*.json, or with --check says which of them are not what would be written.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';

const BOARDS = ['overview', 'quality', 'workers', 'joins', 'turn', 'recording', 'events'];
const folder = new URL('../dashboards/', import.meta.url);
const check = process.argv.includes('--check');
const stale = [];
mkdirSync(folder, { recursive: true });
for (const name of BOARDS) {
  const { default: board } = await import(`./boards/${name}.mjs`);
  const text = `${JSON.stringify(board, null, 2)}\n`;
  const file = new URL(`${name}.json`, folder);
  if (check) {
    if (!existsSync(file) || readFileSync(file, 'utf8') !== text) stale.push(name);
  } else {
    writeFileSync(file, text);
  }
}
if (stale.length > 0) {
  console.error(`deploy/grafana/dashboards is not what its source says: ${stale.join(', ')}. Write it anew: cd deploy/grafana/source && npm run build`);
  process.exit(1);
}
