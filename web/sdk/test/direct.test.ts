import { expect, test } from 'vitest';
import { readMessage } from '../src/direct.ts';
import { bygone, mergeChat } from '../src/state.ts';
import { selectedPair } from '../src/stats.ts';
import type { ChatMessage } from '../src/wire.ts';

function said(number: number, key: string): ChatMessage {
  return { number, member: 'a', name: 'A', at: 1, text: key, key };
}

const line = { mid: '0', source: 'camera', muted: false };

test('what is no message of the other end is none, whatever it is', () => {
  for (const data of ['', 'x', '[]', 'null', '7', '{}', '{"type":"lines"}', '{"type":"chat","text":1,"key":"k","at":1}', '{"type":"dance"}', new ArrayBuffer(2), 7, undefined]) {
    expect(readMessage(data), String(data)).toBeUndefined();
  }
  expect(readMessage(JSON.stringify({ type: 'chat', key: 'k', at: 1, text: 'x'.repeat(70_000) }))).toBeUndefined();
});

test('that the other end has all, and that it leaves, is said in a word', () => {
  for (const type of ['switched', 'left']) expect(readMessage(JSON.stringify({ type, more: 1 }))).toEqual({ type });
});

test('of what is said about the connection only that is taken which has all its parts', () => {
  const offer = { kind: 'offer', sdp: 'v=0', lines: [line], revision: 1 };
  const candidate = { kind: 'candidate', candidate: 'candidate:1', mid: '0' };
  for (const signal of [offer, { ...offer, kind: 'answer' }, { ...offer, kind: 'answer', origin: '- 1 2' }, candidate, { ...candidate, ufrag: 'u' }]) {
    expect(readMessage(JSON.stringify({ type: 'signal', signal }))).toEqual({ type: 'signal', signal });
  }
  for (const signal of [null, 'x', { ...offer, kind: 'rollback' }, { ...offer, sdp: 7 }, { ...offer, lines: {} }, { ...offer, revision: '1' }, { ...candidate, mid: 0 }, { ...candidate, ufrag: {} }]) {
    expect(readMessage(JSON.stringify({ type: 'signal', signal })), JSON.stringify(signal)).toBeUndefined();
  }
});

test('of lines only those are taken that are some', () => {
  const lines = [line, { ...line, source: 'telescope' }, { ...line, muted: 1 }, null, 7, { ...line, mid: 3 }];
  expect(readMessage(JSON.stringify({ type: 'lines', lines, revision: 2 }))).toEqual({ type: 'lines', lines: [line], revision: 2 });
  const many = readMessage(JSON.stringify({ type: 'lines', lines: Array.from({ length: 100 }, () => line), revision: 1 }));
  expect(many?.type === 'lines' && many.lines.length).toBe(16);
});

test('what was said without the server keeps its place until the server tells of it, and is there once', () => {
  const before = [said(1, 'one'), said(1.5, 'aside'), said(1.75, 'another')];
  expect(mergeChat(before, [said(2, 'two')]).map(({ text }) => text)).toEqual(['one', 'aside', 'another', 'two']);
  expect(mergeChat(before, [said(2, 'aside')]).map(({ number, text }) => [number, text])).toEqual([
    [1, 'one'],
    [1.75, 'another'],
    [2, 'aside'],
  ]);
});

test('chat of a room that the server has forgotten comes before what is said from now on', () => {
  const before = bygone([said(7, 'seven'), said(8, 'eight')]);
  expect(mergeChat(before, [said(1, 'new')]).map(({ text }) => text)).toEqual(['seven', 'eight', 'new']);
});

test('the selected pair is found with and without a transport that names it', () => {
  const entries: [string, object][] = [
    ['l', { id: 'l', type: 'local-candidate', candidateType: 'relay', protocol: 'udp', relayProtocol: 'tls' }],
    ['r', { id: 'r', type: 'remote-candidate', candidateType: 'prflx', protocol: 'udp' }],
    ['p', { id: 'p', type: 'candidate-pair', localCandidateId: 'l', remoteCandidateId: 'r', nominated: true, state: 'succeeded' }],
    ['q', { id: 'q', type: 'candidate-pair', localCandidateId: 'x', remoteCandidateId: 'y', nominated: false, state: 'failed' }],
  ];
  const found = { local: 'relay', remote: 'prflx', protocol: 'tls' };
  expect(selectedPair(entries)).toEqual(found);
  expect(selectedPair([['t', { id: 't', type: 'transport', selectedCandidatePairId: 'p' }], ...entries])).toEqual(found);
  expect(selectedPair([])).toBeUndefined();
});

test('of chat only that is taken which a server would have taken', () => {
  const chat = { type: 'chat', key: 'k', at: 1, text: 'hello\nthere' };
  expect(readMessage(JSON.stringify(chat))).toEqual(chat);
  for (const bad of [{ at: 1e300 }, { at: 9e15 }, { text: '' }, { text: 'x'.repeat(4097) }, { text: '\u0007' }, { text: '\u009b' }, { key: '' }, { key: 'k'.repeat(65) }]) {
    expect(readMessage(JSON.stringify({ ...chat, ...bad })), JSON.stringify(bad).slice(0, 40)).toBeUndefined();
  }
});
