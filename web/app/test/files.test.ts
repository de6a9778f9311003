import { expect, test, vi } from 'vitest';
import { cleanName, FileExchange, MOST_BYTES } from '../src/lib/files.ts';
import type { Transfer } from '../src/lib/files.ts';

/** Members who hear each other, in order and each a moment later. */
function room(...names: string[]) {
  const shown = new Map<string, readonly Transfer[]>();
  const said: { from: string; payload: string | Uint8Array<ArrayBuffer>; to: readonly string[] }[] = [];
  const ends = new Map<string, FileExchange>();
  for (const name of names) {
    const send = async (payload: string | Uint8Array<ArrayBuffer>, to: readonly string[]) => {
      said.push({ from: name, payload, to });
      await new Promise((resolve) => setTimeout(resolve));
      for (const [other, end] of ends) if (other !== name && (to.length === 0 || to.includes(other))) end.take(name, payload, 0);
    };
    ends.set(name, new FileExchange(name, send, (transfers) => shown.set(name, transfers)));
  }
  const end = (name: string) => ends.get(name) as FileExchange;
  const at = (name: string) => shown.get(name)?.at(-1) as Transfer;
  return { end, at, said, shown };
}

const bytes = (length: number) => Uint8Array.from({ length }, (_, at) => (at * 7) & 0xff);
const file = (length: number, name = 'notes.txt') => new File([bytes(length)], name);
const turns = async (count = 60) => {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setTimeout(resolve));
};

test('a file arrives whole at whoever takes it, and nowhere else', { timeout: 15_000 }, async () => {
  const { end, at, said } = room('ada', 'ben', 'cleo');
  expect(end('ada').offer(file(600_000), 0)).toBe(true);
  await turns(5);
  expect(at('ben')).toMatchObject({ incoming: true, from: 'ada', name: 'notes.txt', size: 600_000, state: 'offered' });
  end('ben').accept(at('ben').id);
  end('cleo').decline(at('cleo').id);
  await vi.waitFor(() => expect(at('ada').state).toBe('done'), 10_000);
  expect(at('ben')).toMatchObject({ state: 'done', done: 600_000 });
  expect(Buffer.compare(Buffer.from(await (at('ben').blob as Blob).arrayBuffer()), bytes(600_000))).toBe(0);
  expect(at('ben').blob?.type).toBe('application/octet-stream');
  expect(at('ada')).toMatchObject({ state: 'done', takers: 1, have: 1, done: 600_000 });
  expect(at('cleo')).toMatchObject({ state: 'declined', done: 0 });
  const pieces = said.filter(({ payload }) => typeof payload !== 'string');
  expect(new Set(pieces.map(({ to }) => to.join()))).toEqual(new Set(['ben']));
  expect(Math.max(...pieces.map(({ payload }) => payload.length))).toBeLessThan(12_000);
});

test('no more pieces are under way than the receiver has room for', async () => {
  const sent: Uint8Array[] = [];
  const ada = new FileExchange('ada', async (payload) => void (typeof payload !== 'string' && sent.push(payload)), (transfers) => (id = transfers[0]?.id ?? ''));
  let id = '';
  ada.offer(file(5_000_000), 0);
  ada.take('ben', JSON.stringify({ kind: 'got', id, bytes: 0 }), 0);
  await turns();
  expect(sent.length).toBe(24);
  // It claims more than it was sent.
  ada.take('ben', JSON.stringify({ kind: 'got', id, bytes: 5_000_000 }), 0);
  await turns();
  expect(sent.length).toBe(48);
});

test('a transfer can be ended by either side', async () => {
  for (const who of ['ada', 'ben']) {
    const { end, at, said } = room('ada', 'ben');
    end('ada').offer(file(5_000_000), 0);
    await turns(5);
    end('ben').accept(at('ben').id);
    await turns(20);
    end(who).decline(at(who).id);
    await turns(20);
    const count = said.length;
    await turns(20);
    expect(said.length, 'nothing is sent any more').toBe(count);
    expect(at('ben').state).toBe('declined');
    expect(at('ben').blob).toBeUndefined();
  }
});

test('a sender who goes leaves nothing half taken', async () => {
  const { end, at } = room('ada', 'ben');
  end('ada').offer(file(5_000_000), 0);
  await turns(5);
  end('ben').accept(at('ben').id);
  await turns(20);
  end('ben').gone('ada');
  expect(at('ben')).toMatchObject({ state: 'failed' });
  end('ada').gone('ben');
  expect(at('ada')).toMatchObject({ state: 'offered', takers: 0 });
});

test('more than was offered is not taken', async () => {
  const { end, at } = room('ben');
  const id = '00112233445566ff';
  const piece = (length: number) => Uint8Array.from([0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0xff, ...bytes(length)]);
  end('ben').take('mallory', JSON.stringify({ kind: 'offer', id, name: 'a', size: 10 }), 0);
  end('ben').take('mallory', piece(5), 0);
  expect(at('ben'), 'nothing comes before it is taken').toMatchObject({ state: 'offered', done: 0 });
  end('ben').accept(id);
  end('ben').take('eve', piece(10), 0);
  expect(at('ben'), 'nor from somebody else').toMatchObject({ state: 'going', done: 0 });
  end('ben').take('mallory', piece(11), 0);
  expect(at('ben').state).toBe('failed');
});

test('what is no message, too large, or one of very many, is passed over', () => {
  const { end, shown } = room('ben');
  for (const text of ['', '{', 'null', '7', '{"kind":"offer"}', '{"kind":"offer","id":"x","name":"a","size":1}', `{"kind":"offer","id":"${'0'.repeat(16)}","name":"a","size":${MOST_BYTES + 1}}`, `{"kind":"offer","id":"${'0'.repeat(16)}","name":7,"size":1}`])
    end('ben').take('mallory', text, 0);
  expect(shown.get('ben')).toBeUndefined();
  for (let n = 0; n < 100; n++) end('ben').take('mallory', JSON.stringify({ kind: 'offer', id: n.toString(16).padStart(16, '0'), name: 'a', size: 1 }), 0);
  expect(shown.get('ben')?.length).toBe(16);
  expect(end('ben').offer(new File([], 'empty'), 0)).toBe(false);
});

test.each([
  ['a.txt', 'a.txt'],
  ['../../etc/passwd', 'passwd'],
  ['C:\\dir\\b.exe', 'b.exe'],
  ['.bashrc', 'bashrc'],
  ['photo\u202Egpj.exe', 'photogpj.exe'],
  ['', 'file'],
  ['  \u0000', 'file'],
  [`${'x'.repeat(300)}.pdf`, `${'x'.repeat(108)}…xxxxxxx.pdf`],
  ['报告.pdf', '报告.pdf'],
])('%j is called %j', (name, clean) => {
  expect(cleanName(name)).toBe(clean);
});
