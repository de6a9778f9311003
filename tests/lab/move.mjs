// A browser's network changes in the middle of a call, through the server and directly, in network namespaces: how long no picture comes at
// either end. As root. `node tests/lab/move.mjs --times 1 sfu.known` tries some; with `--prove` the figures go into docs/proof/nat.jsonl.
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { longestWithoutMedia } from '../../web/e2e/lib/inside.mjs';
import { startServer } from '../../web/e2e/lib/server.mjs';
import { sleep, until } from '../../web/e2e/lib/wait.mjs';
import { row, writeRows } from '../prove/rows.mjs';
import { SERVER } from './lib/namespaces.mjs';
import { NatLab } from './lib/nat.mjs';
import { inLab, openPerson } from './lib/people.mjs';

const COMMAND = 'make prove-nat';
const { values: options, positionals: chosen } = parseArgs({
  allowPositionals: true,
  options: {
    prove: { type: 'boolean', default: false },
    times: { type: 'string', default: '10' },
    out: { type: 'string', default: fileURLToPath(new URL('../../docs/proof/nat.jsonl', import.meta.url)) },
  },
});

/** What happens, and how long there may be no picture (ms): a browser that gets another address is told by its system, one behind a NAT that does is not. */
const MOVES = /** @type {const} */ ({ known: 2000, silent: 6000 });

process.exit(await inLab(prove, options.prove));

/** @param {NatLab} lab */
async function prove(lab) {
  /** @type {ReturnType<typeof row>[]} */
  const rows = [];
  for (const policy of /** @type {const} */ (['sfu', 'auto'])) {
    const server = await startServer({ ALTHING_MEDIA__BIND: SERVER, ALTHING_ROOMS__POLICY: policy, ALTHING_LOG__LEVEL: 'warn' }, SERVER);
    try {
      for (const move of /** @type {const} */ (['known', 'silent'])) {
        const name = `${policy === 'sfu' ? 'sfu' : 'direct'}.${move}`;
        if (chosen.length > 0 && !chosen.includes(name)) continue;
        const { gaps, made } = await moves(lab, server.url, policy, move);
        const p95 = [...gaps].sort((a, b) => a - b)[Math.max(0, Math.ceil(gaps.length * 0.95) - 1)] ?? Number.NaN;
        console.log(`${name}: ${gaps.map(Math.round).join(' ')} ms; connections made ${made}`);
        rows.push(row(COMMAND, `move.${name}_p95`, p95, 'ms without media', `<= ${MOVES[move]}`, p95 <= MOVES[move]));
        rows.push(row(COMMAND, `move.${name}_connections`, made, 'connections made at each end', '1', made === 1));
      }
    } finally {
      await server.stop();
    }
  }
  if (options.prove) writeRows(options.out, rows);
  return rows.every(({ pass }) => pass) ? 0 : 1;
}

/**
 * The longest times without a picture, of all moves, and how many connections each end has made.
 * @param {NatLab} lab @param {string} url @param {'sfu' | 'auto'} policy @param {keyof typeof MOVES} move
 */
async function moves(lab, url, policy, move) {
  const [first, second] = move === 'known' ? [() => lab.become(1, 'open'), () => lab.become(1, 'cone')] : [() => lab.renumber(1, 1), () => lab.renumber(1, 2)];
  lab.become(1, 'cone');
  first();
  lab.become(2, 'cone');
  const [ada, ben] = [await openPerson(lab, url, 'Ada', 1), await openPerson(lab, url, 'Ben', 2)];
  try {
    for (const person of [ada, ben]) await person.join(url, `${policy}-${move}`);
    for (const person of [ada, ben]) await person.travels(policy === 'sfu' ? 'server' : 'direct');
    /** @type {number[]} */
    const gaps = [];
    for (let time = 0; time < Number(options.times); time++) {
      await ada.sees('Ben');
      await ben.sees('Ada');
      const watch = async () => Math.max(await gapAt(ada, 'Ben'), await gapAt(ben, 'Ada'));
      await watch();
      await sleep(1000);
      await watch();
      (time % 2 === 0 ? second : first)();
      // What a browser says when its system tells it of another network; between two of one kind it says nothing.
      if (move === 'known') await ada.tab.evaluate(() => void window.dispatchEvent(new Event('online')));
      await sleep(2500);
      await until('pictures come again', () => comes(ada, ben), 60_000);
      await sleep(1000);
      gaps.push(await watch());
      await sleep(4000);
    }
    const counts = (await Promise.all([ada, ben].map((person) => person.diagnostics()))).map((each) => (policy === 'sfu' ? each.connections : each.direct));
    return { gaps, made: Math.max(...counts) };
  } finally {
    for (const person of [ada, ben]) await person.close();
  }
}

/**
 * The longest time without a frame since it was asked last.
 * @param {import('../../web/e2e/lib/person.mjs').Person} person @param {import('../../web/e2e/lib/person.mjs').Name} other
 */
async function gapAt(person, other) {
  // What the server has sent again after an interruption is decoded at once: nobody has seen it in time.
  return person.tab.evaluate(longestWithoutMedia, { member: await person.idOf(other), burst: /** @type {const} */ ('late') });
}

/** Whether both get frames. @param {import('../../web/e2e/lib/person.mjs').Person} ada @param {import('../../web/e2e/lib/person.mjs').Person} ben */
async function comes(ada, ben) {
  const frames = async () => [(await ada.received('Ben')).frames, (await ben.received('Ada')).frames];
  const before = await frames();
  await sleep(500);
  return (await frames()).every((count, index) => count > (before[index] ?? 0));
}
