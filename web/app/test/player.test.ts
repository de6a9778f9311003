import { LibraryError } from '@althing/sdk';
import type { LibraryFile, LibraryItem } from '@althing/sdk';
import { expect, test } from 'vitest';
import { Clock, concession, Drift, steer } from '../src/library/clock.ts';
import { compose, MOST_SHOWN } from '../src/library/composition.ts';
import type { Part } from '../src/library/composition.ts';
import { nameOf } from '../src/lib/token.ts';
import { accessOf } from '../src/library/access.ts';
import { clockTime, fileSize, fitsTitle } from '../src/library/format.ts';
import { playerAction } from '../src/library/keys.ts';
import { isLibrary, libraryAddress, readPlace, readToken } from '../src/library/place.ts';
import { filmProblem, filmProgress, isDead, isUnderway, libraryProblem } from '../src/library/problem.ts';
import { afterSilence, columns, isPresent, lastOf, levelsAt, MOST_OPEN, silences, Speaker, timelineOf, trackAt, wanted, waveOf } from '../src/library/timeline.ts';
import type { Timeline, Wave } from '../src/library/timeline.ts';
import { fit, held, zoomed } from '../src/library/zoom.ts';
import { overwriteGetLocale } from '../src/paraglide/runtime.js';

function file(member: string, at: number, length: number, change: Partial<LibraryFile> = {}): LibraryFile {
  return {
    name: `${member}-${at}`,
    url: '/a',
    download: '/b',
    member,
    screen: false,
    container: 'webm',
    type: 'video/webm',
    video: 'vp8',
    audio: 'opus',
    at: at * 1e6,
    length: length * 1e6,
    bytes: 1000,
    lost: 0,
    state: 'complete',
    ...change,
  };
}

function item(files: LibraryFile[]): Pick<LibraryItem, 'files' | 'members' | 'kind' | 'by'> {
  return { files, members: [{ member: 'a', name: 'Ada' }, { member: 'b', name: 'Ben' }], kind: 'recording', by: { member: 'a', name: 'Ada' } };
}

/** Files of many people, each for all of the time. */
function crowd(count: number, length: number): Timeline {
  return timelineOf(item(Array.from({ length: count }, (_, index) => file(`m${index}`, 0, length))));
}

function waves(timeline: Timeline, loud: (lane: string, second: number) => number): Map<string, Wave> {
  const tracks = timeline.lanes.flatMap((lane) => lane.tracks);
  return new Map(
    tracks.map((track) => {
      const peaks = Array.from({ length: Math.ceil((track.ends - track.begins) * 2) }, (_, index) => loud(track.lane, track.begins + index / 2));
      return [track.name, waveOf(track, { seconds_per_value: 0.5, peaks })];
    }),
  );
}

test('files of a member follow each other in a lane, its screen in another one below', () => {
  const timeline = timelineOf(item([file('b', 4, 3), file('a', 0, 5), file('a', 5.2, 4, { name: 'later', video: 'h264' }), file('a', 2, 3, { name: 'shown', screen: true })]));
  expect(timeline.lanes.map(({ key, name, tracks }) => [key, name, tracks.map((track) => track.name)])).toEqual([
    ['a', 'Ada', ['a-0', 'later']],
    ['a/screen', 'Ada', ['shown']],
    ['b', 'Ben', ['b-4']],
  ]);
  expect(timeline.length).toBeCloseTo(9.2);
  expect([lastOf(timeline), lastOf({ ...timeline, lanes: [] })]).toEqual([expect.closeTo(9.2), 0]);
  const [ada, screen] = timeline.lanes;
  expect([1, 5.1, 6, 9.3].map((at) => trackAt(ada!, at)?.name)).toEqual(['a-0', undefined, 'later', undefined]);
  expect([1, 5.1, 6, 9.3].map((at) => isPresent(ada!, at))).toEqual([true, true, true, false]);
  expect([1.9, 2, 4.99, 5].map((at) => isPresent(screen!, at))).toEqual([false, true, true, false]);
});

test('what overlaps is played once: the later file goes on', () => {
  const [ada] = timelineOf(item([file('a', 0, 5), file('a', 4, 4)])).lanes;
  expect(ada!.tracks.map(({ begins, ends }) => [begins, ends])).toEqual([[0, 4], [4, 8]]);
});

test('what is written, broken or made of others is no part of a meeting; alone it is played', () => {
  const mixdown = file('', 0, 9, { name: 'mix' });
  const names = (files: LibraryFile[]) => timelineOf(item(files)).lanes.flatMap((lane) => lane.tracks.map((track) => track.name));
  expect(names([file('a', 0, 9), file('b', 0, 0, { state: 'writing' }), file('b', 1, 2, { state: 'broken' }), mixdown])).toEqual(['a-0']);
  expect(names([mixdown])).toEqual(['mix']);
  expect(names([file('a', 0, 0, { name: 'picture', type: 'image/png' })])).toEqual([]);
});

test('of fifty people no more files are open than are seen and heard', () => {
  const timeline = crowd(50, 7200);
  const shown = new Set(timeline.lanes.slice(0, MOST_SHOWN).map((lane) => lane.key));
  const quiet = { position: 3600, speed: 1, shown, silenced: new Set<string>() };
  expect(wanted(timeline, { ...quiet, waves: waves(timeline, () => 0) }).size).toBe(MOST_SHOWN);
  // Whoever speaks within the next seconds is open beside those whose picture is shown.
  const speaks = waves(timeline, (lane, second) => (lane === 'm40' && second >= 3604 && second < 3606 ? 0.5 : 0));
  expect([...wanted(timeline, { ...quiet, waves: speaks }).keys()]).toEqual([...timeline.lanes.slice(0, MOST_SHOWN).map((lane) => `${lane.key}-0`), 'm40-0']);
  expect(wanted(timeline, { ...quiet, silenced: new Set(['m40']), waves: speaks }).has('m40-0')).toBe(false);
  // Without waveforms everybody may speak: the bound holds.
  expect(wanted(timeline, { ...quiet, waves: new Map() }).size).toBe(MOST_OPEN);
});

test('a file is opened before it begins, sooner at a higher speed, and closed once it is over', () => {
  const timeline = timelineOf(item([file('a', 0, 30), file('b', 40, 20)]));
  const need = (position: number, speed = 1) => [...wanted(timeline, { position, speed, shown: new Set(['a', 'b']), silenced: new Set(), waves: new Map() })];
  expect(need(10)).toEqual([['a-0', 'play']]);
  expect(need(25)).toEqual([['a-0', 'play'], ['b-40', 'near']]);
  expect(need(33)).toEqual([['b-40', 'ready']]);
  expect(need(18, 3)).toEqual([['a-0', 'play'], ['b-40', 'ready']]);
  expect(need(41)).toEqual([['b-40', 'play']]);
  expect(need(60)).toEqual([]);
});

test('silence is what nobody speaks in, less a moment; nothing is skipped while a loudness is unknown', () => {
  const timeline = timelineOf(item([file('a', 0, 20), file('b', 5, 15)]));
  const spoken = waves(timeline, (lane, second) => (lane === 'a' ? (second < 3 ? 0.4 : 0) : second >= 10 && second < 12 ? 0.3 : 0.001));
  const found = silences(timeline, spoken);
  expect(found).toEqual([{ begins: 3.3, ends: 9.7 }, { begins: 12.3, ends: 20 }]);
  expect(afterSilence(found!, 2)).toBeUndefined();
  expect(afterSilence(found!, 5)).toBeCloseTo(9.7);
  expect(afterSilence(found!, 9.4)).toBeUndefined();
  spoken.delete('b-5');
  expect(silences(timeline, spoken)).toBeUndefined();
});

test('a noisy microphone is silent when nobody speaks into it', () => {
  const wave = waveOf({ begins: 0 }, { seconds_per_value: 1, peaks: [0.012, 0.011, 0.013, 0.4, 0.5, 0.012, 0.02, Number.NaN, 7] });
  expect(wave.peaks.map((peak) => peak >= wave.floor)).toEqual([false, false, false, true, true, false, false, false, true]);
});

test('who speaks changes after a while, not at a cough; a seek is followed at once', () => {
  const timeline = timelineOf(item([file('a', 0, 60), file('b', 0, 60)]));
  const known = waves(timeline, (lane, second) => ((lane === 'a' ? second < 10 : second >= 10) ? 0.4 : lane === 'b' && second === 5 ? 0.6 : 0));
  const speaker = new Speaker();
  const whose = (at: number) => speaker.at(levelsAt(timeline, known, at), at);
  const seen: [number, string | undefined][] = [];
  for (let at = 0; at < 13; at += 0.1) {
    const who = whose(at);
    if (seen.at(-1)?.[1] !== who) seen.push([Math.round(at * 10) / 10, who]);
  }
  expect(seen.map(([, who]) => who)).toEqual(['a', 'b']);
  expect(seen[1]![0]).toBeGreaterThan(10.3);
  expect(seen[1]![0]).toBeLessThan(12);
  expect(whose(2)).toBe('a');
  expect(whose(40)).toBe('b');
});

test('the clock runs, stops, is sought and changes its speed without a jump', () => {
  const clock = new Clock();
  expect(clock.position(5000)).toBe(0);
  clock.run(5000);
  expect(clock.position(6500)).toBeCloseTo(1.5);
  clock.setSpeed(2, 6500);
  expect(clock.position(7500)).toBeCloseTo(3.5);
  clock.stop(7500);
  expect(clock.position(9999)).toBeCloseTo(3.5);
  clock.seek(60, 10_000);
  clock.run(11_000);
  expect(clock.position(11_500)).toBeCloseTo(61);
});

test('a file that is off comes back within seconds by small changes of its rate, and stays', () => {
  for (const [start, speed] of [[0.24, 1], [-0.2, 1], [0.04, 1], [-0.24, 3], [0.1, 0.5]] as const) {
    let drift: number = start;
    let seconds = 0;
    for (; Math.abs(drift) > 0.04; seconds += 0.05) {
      const { rate, seek } = steer(drift, speed);
      expect(seek).toBe(false);
      expect(Math.abs(rate / speed - 1)).toBeLessThanOrEqual(0.08 + 1e-9);
      drift += (rate - speed) * 0.05;
    }
    expect(seconds).toBeLessThan(4);
    for (let step = 0; step < 400; step++) drift += (steer(drift, speed).rate - speed) * 0.05;
    expect(Math.abs(drift)).toBeLessThan(0.02);
  }
});

test('what is further than a quarter of a second off is sought; what is in step is left alone', () => {
  expect(steer(0.26, 1)).toEqual({ rate: 1, seek: true });
  expect(steer(-3, 2)).toEqual({ rate: 2, seek: true });
  expect(steer(0.01, 1.5)).toEqual({ rate: 1.5, seek: false });
});

test('what nobody hears may change more, and is in step sooner', () => {
  expect(steer(-0.1, 1).rate).toBeCloseTo(1.08);
  expect(steer(-0.1, 1, false).rate).toBeCloseTo(1.2);
  expect(steer(0.2, 1, false).rate).toBeCloseTo(0.7);
});

test('where all files are late the clock gives way; for one that hangs it does not', () => {
  expect(concession([-0.1, -0.11, -0.1])).toBeCloseTo(-0.1);
  expect(concession([0.001, 0.002, -0.9])).toBe(0);
  expect(concession([0.001, -2])).toBe(0);
  expect(concession([0.04])).toBeCloseTo(0.04);
  expect(concession([])).toBe(0);
  const drift = new Drift();
  for (const sample of [-0.1, -0.11, -0.1]) drift.add(sample);
  drift.shift(-0.1);
  expect(drift.value).toBeCloseTo(0);
});

test('one wrong reading of a position changes nothing', () => {
  const drift = new Drift();
  expect(drift.value).toBeUndefined();
  for (const sample of [0.01, 0.012, 0.4, 0.011, 0.009]) drift.add(sample);
  expect(drift.value).toBeCloseTo(0.011);
  drift.reset();
  expect(drift.value).toBeUndefined();
});

const people = (count: number, screens = 0): Part[] => [
  ...Array.from({ length: count }, (_, index) => ({ key: `p${index}`, screen: false, picture: true })),
  ...Array.from({ length: screens }, (_, index) => ({ key: `s${index}`, screen: true, picture: true })),
];

test.each([
  [1280, 720],
  [390, 600],
  [844, 300],
])('on %i × %i nothing overlaps or sticks out, in any layout', (width, height) => {
  for (const layout of ['auto', 'grid', 'speaker', 'screen'] as const) {
    for (const [count, screens] of [[1, 0], [2, 0], [3, 1], [9, 0], [50, 2]] as const) {
      for (const page of [0, 1, 99]) {
        const { boxes, large, pages } = compose(people(count, screens), { layout, width, height, page, speaker: 'p1' });
        const all = [...boxes.values()];
        expect(all.length).toBeGreaterThan(0);
        expect(all.length).toBeLessThanOrEqual(MOST_SHOWN);
        for (const box of all) {
          expect(Math.min(box.left, box.top)).toBeGreaterThanOrEqual(0);
          expect(box.left + box.width).toBeLessThanOrEqual(width + 1);
          expect(box.top + box.height).toBeLessThanOrEqual(height + 1);
          for (const other of all) {
            const apart = box.left + box.width <= other.left + 1 || other.left + other.width <= box.left + 1 || box.top + box.height <= other.top + 1 || other.top + other.height <= box.top + 1;
            expect(other === box || apart).toBe(true);
          }
        }
        if (count === 50) expect(pages).toBeGreaterThan(1);
        if (large) expect(boxes.has(large)).toBe(true);
      }
    }
  }
});

test('large is who was chosen, else the screen or who speaks, as the layout says', () => {
  const large = (layout: 'auto' | 'grid' | 'speaker' | 'screen', screens: number, more: { pinned?: string; speaker?: string } = {}) =>
    compose(people(3, screens), { layout, width: 1280, height: 720, ...more }).large;
  expect(large('auto', 0)).toBeUndefined();
  expect(large('auto', 1)).toBe('s0');
  expect(large('grid', 1)).toBeUndefined();
  expect(large('grid', 1, { pinned: 'p2' })).toBe('p2');
  expect(large('speaker', 1, { speaker: 'p2' })).toBe('p2');
  expect(large('speaker', 0, { speaker: 'gone' })).toBe('p0');
  expect(large('screen', 1, { speaker: 'p2' })).toBe('s0');
  expect(large('screen', 0, { speaker: 'p2' })).toBe('p2');
  expect(compose(people(1), { layout: 'speaker', width: 1280, height: 720 }).large).toBeUndefined();
});

test('addresses of the library say room, item and what was shared, and find their way back', () => {
  const place = (path: string) => readPlace(`https://a${path}`);
  expect(place('/library')).toEqual({ page: 'rooms' });
  expect(place('/library/')).toEqual({ page: 'rooms' });
  expect(place('/library/a%2Eb')).toEqual({ page: 'room', room: 'a.b' });
  expect(place('/library/shared')).toEqual({ page: 'room', room: 'shared' });
  expect(place('/library/shared/x1')).toEqual({ page: 'item', room: 'shared', id: 'x1' });
  expect(place('/library/shared/x1?expires=7&signature=s')).toEqual({ page: 'shared', id: 'x1', expires: '7', signature: 's' });
  expect(place('/library/shared/x1?expires=7')).toEqual({ page: 'shared', id: 'x1', expires: '7', signature: '' });
  expect(place('/library/hall/x1/more')).toEqual({ page: 'nowhere' });
  expect(place('/library/%E0%A4%A')).toEqual({ page: 'nowhere' });
  const address = libraryAddress({ room: 'a b', id: 'x/1', token: 't.=' });
  expect(place(address)).toEqual({ page: 'item', room: 'a b', id: 'x/1' });
  expect(readToken(`https://a${address}`)).toBe('t.=');
  expect(['/library', '/library/x', '/r/library', '/librarys', '/'].map(isLibrary)).toEqual([true, true, false, false, false]);
});

const press = (key: string, target: object | null = null, more: object = {}) => playerAction({ key, ctrlKey: false, altKey: false, metaKey: false, repeat: false, target: target as EventTarget | null, ...more });

test('keys play, move and jump, but what somebody writes stays theirs, and a button its own press', () => {
  expect([' ', 'k', 'K'].map((key) => press(key)?.do)).toEqual(['toggle', 'toggle', 'toggle']);
  expect(['ArrowLeft', 'ArrowRight', 'j', 'l'].map((key) => press(key))).toEqual([-5, 5, -10, 10].map((seconds) => ({ do: 'move', seconds })));
  expect(['0', '7', 'End'].map((key) => press(key))).toEqual([0, 0.7, 1].map((part) => ({ do: 'jump', part })));
  expect(press('f')?.do).toBe('full');
  expect(press('f', null, { ctrlKey: true })).toBeUndefined();
  expect([' ', 'k', '5'].map((key) => press(key, { tagName: 'INPUT', type: 'text' }))).toEqual([undefined, undefined, undefined]);
  expect(press(' ', { tagName: 'BUTTON' })).toBeUndefined();
  expect(press('k', { tagName: 'BUTTON' })?.do).toBe('toggle');
  expect(press('ArrowLeft', { tagName: 'INPUT', type: 'range' })).toBeUndefined();
  expect(press('k', { tagName: 'INPUT', type: 'range' })?.do).toBe('toggle');
  expect(['ArrowUp', '1', '.'].map((key) => press(key, { tagName: 'SELECT' }))).toEqual([undefined, undefined, undefined]);
  expect(press('k', { tagName: 'SELECT' })?.do).toBe('toggle');
  expect([' ', 'k', 'm', 'f', 'c', '5'].map((key) => press(key, null, { repeat: true })), 'a key that is held turns nothing on and off').toEqual(Array(6).fill(undefined));
  expect(['ArrowRight', 'ArrowUp', '.'].map((key) => press(key, null, { repeat: true })?.do)).toEqual(['move', 'volume', 'frame']);
  expect(press('x')).toBeUndefined();
});

test('a token says what it allows, and without one everything is offered', () => {
  const token = (grants: object) => `e30.${Buffer.from(JSON.stringify({ sub: 'ädä', grants })).toString('base64url')}.sig`;
  expect(accessOf(undefined)).toBe('manage');
  expect(accessOf('no token')).toBe('manage');
  expect(accessOf(token({ room: 'hall', join: true }))).toBe('none');
  expect(accessOf(token({ record: true }))).toBe('manage');
  expect(accessOf(token({ record: true, library: 'view' }))).toBe('view');
  expect(accessOf(token({ library: 'manage' }))).toBe('manage');
});

test('a token says how its bearer is called, if it does', () => {
  const token = (claims: object) => `e30.${Buffer.from(JSON.stringify({ sub: 'a', ...claims })).toString('base64url')}.sig`;
  expect(nameOf(undefined)).toBeUndefined();
  expect(nameOf('no token')).toBeUndefined();
  expect(nameOf(token({}))).toBeUndefined();
  expect(nameOf(token({ name: 7 }))).toBeUndefined();
  expect(nameOf(token({ name: ' ' }))).toBeUndefined();
  expect(nameOf(token({ name: '小明' }))).toBe('小明');
});

test('a picture is enlarged around where one points, and never leaves the page', () => {
  const view = zoomed(fit(), 4, { x: 100, y: -50 });
  expect(view).toEqual({ scale: 4, x: -300, y: 150 });
  expect(zoomed(view, 1, { x: 0, y: 0 })).toEqual(fit());
  expect(zoomed(view, 0.2, { x: 9, y: 9 })).toEqual(fit());
  expect(held({ scale: 2, x: 5000, y: -5000 }, 800, 600)).toEqual({ scale: 2, x: 400, y: -300 });
});

test('times and sizes are written as people write them', () => {
  expect([0, 7.9, 760, 3723, -1, 36_000].map(clockTime)).toEqual(['0:00', '0:07', '12:40', '1:02:03', '0:00', '10:00:00']);
  expect([0, 999, 1500, 12_345_678, 3.2e9].map((bytes) => fileSize(bytes, 'en'))).toEqual(['0 byte', '999 byte', '1.5 kB', '12 MB', '3.2 GB']);
});

test('a title is as long as the server takes it, by its bytes', () => {
  expect(['a'.repeat(200), '预'.repeat(66), `${'预'.repeat(66)}  `].map(fitsTitle)).toEqual([true, true, true]);
  expect(['a'.repeat(201), '预'.repeat(67)].map(fitsTitle)).toEqual([false, false]);
});

test('what a library cannot do at the moment is said in the language of the page', () => {
  for (const [status, code] of [[503, 'storage_unavailable'], [503, 'full'], [429, 'rate_limited'], [500, 'internal']] as const) expect(libraryProblem(new LibraryError(status, code, 'as the server says it'))).toMatch(/Try again/);
  expect(libraryProblem(new LibraryError(507, 'library_full', 'as the server says it'))).toMatch(/Delete something/);
  expect(libraryProblem(new LibraryError(404, 'invalid_room_name', 'as the server says it'))).toMatch(/room name/);
  const link = (status: number, code: string) => new LibraryError(status, code, 'as the server says it');
  for (const [status, code] of [[410, 'link_expired'], [410, 'link_ended'], [403, 'link_invalid'], [400, 'malformed']] as const) expect(libraryProblem(link(status, code), 'shared'), code).toMatch(/ask/i);
  for (const status of [400, 403, 404, 410]) expect(isDead(link(status, 'link_invalid')), `${status}`).toBe(true);
  for (const status of [0, 429, 500, 503]) expect(isDead(link(status, 'busy')), `${status}`).toBe(false);
});

test('a long waveform is drawn in few columns, none of which hides a peak', () => {
  expect(columns([0.1, 0.9, 0.2, 0.3, 0.4], 2)).toEqual([0.9, 0.4]);
  expect(columns([0.1, 0.2], 10)).toEqual([0.1, 0.2]);
});

test('a film that is not there yet says whether it waits for others, for the machine, or is made', () => {
  expect(filmProgress({ film: 'mp4', state: 'waiting', ahead: 2 })).toBe('MP4: waiting, 2 before it');
  expect(filmProgress({ film: 'mp4', state: 'waiting', ahead: 0 })).toBe('MP4: waiting for its turn');
  expect(filmProgress({ film: 'webm', state: 'waiting', ahead: 0, progress: 0 })).toBe('WEBM: 0 %, waiting until the server is less busy');
  expect(filmProgress({ film: 'webm', state: 'running', progress: 0.126 })).toBe('WEBM: 13 %');
  expect(filmProgress({ film: 'mp4', state: 'fetching', progress: 0.5 })).toBe('MP4: the recording is being fetched, 50 %');
  const states = ['waiting', 'fetching', 'running', 'done', 'failed'] as const;
  expect(states.filter((state) => isUnderway({ film: 'mp4', state })), 'what is looked at again').toEqual(['waiting', 'fetching', 'running']);
  expect(isUnderway(undefined)).toBe(false);
});

test.each(['en', 'zh-CN'] as const)('why there is no film is said in %s, for all that the server says', (locale) => {
  overwriteGetLocale(() => locale);
  try {
    const codes = ['no_ffmpeg', 'no_encoder', 'nothing_to_show', 'not_found', 'busy', 'too_long', 'disk_full', 'storage_unavailable', 'failed'];
    for (const code of codes) expect(filmProblem({ code })?.replace('FFmpeg', ''), code).toMatch(locale === 'en' ? /^[ -~]+$/ : /^[^a-z]+$/);
  } finally {
    overwriteGetLocale(() => 'en');
  }
});
