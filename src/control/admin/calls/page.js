'use strict';
// Lists calls, and shows one: who had bad pictures or sound, when, and on which leg. Names are members' own words: never anything but text.

const REFRESH_MS = 5_000;
const SHOWN_ENTRIES = 400;

let language = localStorage.getItem('language') ?? (navigator.language.startsWith('zh') ? 'zh-CN' : 'en');
if (!WORDS[language]) language = 'en';
let timer;
let turn = 0;
let shown = '';

const at = (id) => document.getElementById(id);
const words = () => WORDS[language];

/** An element with text, or with children. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const clock = (unixMs) => new Date(unixMs).toLocaleTimeString(language, { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });
const date = (unixMs) => new Date(unixMs).toLocaleDateString(language, { year: 'numeric', month: 'short', day: 'numeric' });
const span = (from, to) => `${clock(from)} – ${to === undefined ? words().still : clock(to)}`;

async function ask(path) {
  const response = await fetch(path, { cache: 'no-store' });
  if (!response.ok) throw Object.assign(new Error(response.statusText), { status: response.status });
  return response.json();
}

function list(calls) {
  const w = words();
  const wanted = at('filter').value.trim().toLowerCase();
  const found = calls.filter((call) => call.room.toLowerCase().includes(wanted));
  if (found.length === 0) return [make('p', {}, calls.length === 0 ? w.none : w.nothingFound)];
  const items = found.map((call) => {
    const state = call.ended_unix_ms !== undefined ? w.troubles(call.troubles) : call.troubles ? `${w.underWay}, ${w.atPresent(call.troubles)}` : w.underWay;
    const present = (call.at_present ?? []).map((trouble) => finding(call, (member) => member, trouble));
    const link = make(
      'a',
      { href: `#${call.id}` },
      make('span', { class: 'name' }, call.room),
      make('span', {}, `${date(call.began_unix_ms)} ${call.ended_unix_ms === undefined ? clock(call.began_unix_ms) : span(call.began_unix_ms, call.ended_unix_ms)}`),
      make('span', { class: 'quiet' }, call.members === undefined ? '' : w.members(call.members)),
      make('span', {}, state),
    );
    return make('li', {}, link, ...(present.length === 0 ? [] : [make('ol', { class: 'plain findings' }, ...present)]));
  });
  return [make('ul', { class: 'plain calls' }, ...items)];
}

function names(account) {
  const known = new Map(account.members.map((member) => [member.member, member.name]));
  return (member) => {
    const name = known.get(member);
    return name && name !== member ? `${name} (${member})` : member;
  };
}

function worst(values) {
  const w = words();
  return Object.entries(values).flatMap(([key, value]) => (w.worst[key] ? [w.worst[key](value)] : []));
}

function finding(account, name, trouble) {
  const w = words();
  const what = trouble.shown ? w.of(w.sources[trouble.shown.source] ?? trouble.shown.source, name(trouble.shown.member)) : w.everything;
  const rest = [w.signs[trouble.sign], ...worst(trouble.worst)].join(language === 'en' ? '; ' : '；');
  const to = trouble.to_ms === undefined ? undefined : account.epoch_unix_ms + trouble.to_ms;
  return make(
    'li',
    { class: trouble.leg },
    make('div', { class: 'time' }, span(account.epoch_unix_ms + trouble.from_ms, to)),
    make('div', {}, make('strong', {}, w.had(w.and(trouble.had_by.map(name)), what)), ` · ${w.leg[trouble.leg](name(trouble.leg_of))}`),
    make('div', { class: 'quiet' }, rest),
  );
}

function timeline(account, name) {
  const w = words();
  const end = account.ended_ms ?? Math.max(account.began_ms + 1, Date.now() - account.epoch_unix_ms);
  const length = Math.max(1, end - account.began_ms);
  const place = (kind, from, to, title) => {
    const bar = make('span', { class: kind, title });
    bar.style.left = `${(100 * (from - account.began_ms)) / length}%`;
    bar.style.width = `${Math.max(0, (100 * (to - from)) / length)}%`;
    return bar;
  };
  const lines = make('div', { class: 'lines' });
  for (const member of account.members) {
    const track = make('div', { class: 'track', role: 'img', 'aria-label': `${name(member.member)}: ${w.troubles(member.troubles.length)}` });
    track.append(place('there', member.came_ms, member.went_ms ?? end, ''));
    for (const trouble of member.troubles) {
      const title = `${span(account.epoch_unix_ms + trouble.from_ms, trouble.to_ms && account.epoch_unix_ms + trouble.to_ms)} ${w.signs[trouble.sign]}`;
      track.append(place(trouble.leg, trouble.from_ms, trouble.to_ms ?? end, title));
    }
    lines.append(make('span', { class: 'who', title: name(member.member) }, name(member.member)), track);
  }
  const legend = make('p', { class: 'row legend' }, ...Object.entries(w.legs).map(([leg, text]) => make('span', { class: leg }, text)));
  return [make('h3', {}, w.lines), legend, lines];
}

/** What an entry says, beside its kind: its values as they are. */
function said(entry) {
  const { at_ms: _at, what: _what, ...rest } = entry;
  const text = (value) =>
    Array.isArray(value) ? value.map(text).join(', ') : value !== null && typeof value === 'object' ? Object.entries(value).map(([k, v]) => `${k} ${text(v)}`).join(' ') : String(value);
  return Object.entries(rest).filter(([, value]) => !Array.isArray(value) || value.length > 0).map(([key, value]) => `${key}: ${text(value)}`).join(' · ');
}

function journal(account, name, member, open) {
  const w = words();
  const all = [...member.entries, ...member.looks].sort((a, b) => a.at_ms - b.at_ms).slice(-SHOWN_ENTRIES);
  const rows = all.map((entry) => make('tr', {}, make('td', {}, clock(account.epoch_unix_ms + entry.at_ms)), make('td', {}, w.what[entry.what] ?? entry.what), make('td', {}, said(entry))));
  const when = `${w.came} ${clock(account.epoch_unix_ms + member.came_ms)}${member.went_ms === undefined ? '' : `, ${w.left} ${clock(account.epoch_unix_ms + member.went_ms)}`}`;
  const details = make('details', { 'data-key': `${member.member} ${member.came_ms}` }, make('summary', {}, make('strong', {}, name(member.member)), ` · ${when} · ${w.troubles(member.troubles.length)}`));
  details.open = open.has(details.dataset.key);
  details.append(rows.length === 0 ? make('p', {}, w.noEntries) : make('div', { class: 'entries' }, make('table', {}, make('tbody', {}, ...rows))));
  return details;
}

function call(account) {
  const w = words();
  const name = names(account);
  const began = account.epoch_unix_ms + account.began_ms;
  const open = new Set([...document.querySelectorAll('details[open]')].map((details) => details.dataset.key));
  const troubles = account.troubles.filter((trouble) => trouble.had_by.length > 0);
  const file = make('a', { class: 'button', href: `calls/${account.id}/account?file`, download: '' }, w.download);
  const when = account.ended_ms === undefined ? `${clock(began)}, ${w.underWay}` : span(began, account.epoch_unix_ms + account.ended_ms);
  return [
    make('p', {}, make('a', { href: '#' }, w.all)),
    make('h2', {}, account.room),
    make('p', { class: 'row' }, make('span', {}, `${date(began)} ${when}`), make('span', {}, w.members(account.members.length)), file),
    ...(account.dropped_members > 0 ? [make('p', { class: 'quiet' }, w.dropped(account.dropped_members))] : []),
    make('h3', {}, w.heading),
    troubles.length === 0 ? make('p', {}, w.fine) : make('ol', { class: 'plain findings' }, ...troubles.map((trouble) => finding(account, name, trouble))),
    ...timeline(account, name),
    make('h3', {}, w.journal),
    ...account.members.map((member) => journal(account, name, member, open)),
  ];
}

/** Shows anew what the address names; again while it may change. */
async function show(moved) {
  clearTimeout(timer);
  const own = ++turn;
  const id = /^#(\d+)$/.exec(location.hash)?.[1];
  document.body.classList.toggle('one', id !== undefined);
  let again = true;
  let content;
  try {
    const answer = await ask(id ? `calls/${id}/account` : 'calls/list');
    // Asked for something else meanwhile: what came late is not to be shown in its place.
    if (own !== turn) return;
    again = !id || answer.ended_ms === undefined;
    const text = language + at('filter').value + JSON.stringify(answer);
    if (text !== shown) content = id ? call(answer) : list(answer);
    shown = text;
  } catch (error) {
    if (own !== turn) return;
    again = error.status === undefined;
    shown = '';
    content = [make('p', {}, make('a', { href: '#' }, words().all)), make('p', {}, again ? words().unreachable : words().gone)];
  }
  // A link of the page that has the focus would lose it.
  const focused = document.activeElement?.getAttribute('href');
  if (content) at('main').replaceChildren(...content);
  if (moved) at('main').focus();
  else if (content && focused) document.querySelector(`main a[href="${CSS.escape(focused)}"]`)?.focus();
  at('main').dataset.ready = '1';
  if (again) timer = setTimeout(show, REFRESH_MS);
}

function speak() {
  const w = words();
  document.documentElement.lang = language;
  document.title = w.title;
  at('home').textContent = w.title;
  at('filter-label').textContent = w.filter;
  at('language').textContent = w.language;
  at('language').lang = language === 'en' ? 'zh-CN' : 'en';
}

at('language').addEventListener('click', () => {
  language = language === 'en' ? 'zh-CN' : 'en';
  localStorage.setItem('language', language);
  speak();
  show();
});
at('filter').addEventListener('input', () => show());
addEventListener('hashchange', () => show(true));
speak();
show();
