import type { VideoCodec } from '@althing/sdk';

/** What the page's address says. */
export interface Address {
  room: string;
  /** The lobby to be called in; empty if the page is to meet in a room. */
  lobby: string;
  token: string | undefined;
  /** The secret of a call that is encrypted end to end: in the fragment, which no server is told. */
  secret: string | undefined;
  /** The codecs of pictures to receive, if not all: for a device that decodes some of them badly. */
  receive: VideoCodec[] | undefined;
  /** Whether to have data channels: the page sends no data, but whoever tries the SDK in its console may. */
  data: boolean;
}

const CODECS: readonly VideoCodec[] = ['vp8', 'h264', 'vp9', 'av1'];
const ROOM = /^[A-Za-z0-9._-]{1,64}$/;

/** Whether a room may be called so. */
export function isRoomName(name: string): boolean {
  return ROOM.test(name);
}

/** Room, lobby, token and secret: `/r/<room>` or `?room=`, `?lobby=`, `#token=` or `?token=`, `#key=`; `?receive=vp8,h264`, `?data`. */
export function readAddress(href: string): Address {
  const url = new URL(href);
  const path = /^\/r\/([^/]+)\/?$/.exec(url.pathname)?.[1];
  const room = (path === undefined ? undefined : decode(path)) ?? url.searchParams.get('room') ?? '';
  const fragment = new URLSearchParams(url.hash.slice(1));
  const token = fragment.get('token') ?? url.searchParams.get('token') ?? undefined;
  const named = url.searchParams.get('receive')?.toLowerCase().split(',') ?? [];
  const receive = CODECS.filter((codec) => named.includes(codec));
  const lobby = url.searchParams.get('lobby') ?? '';
  return { room, lobby, token: token || undefined, secret: fragment.get('key') || undefined, receive: receive.length > 0 ? receive : undefined, data: url.searchParams.has('data') };
}

/** The page's own address inside a room: with the token, so that a reload finds it. It stays in the fragment, which no server logs. */
export function roomAddress(room: string, address: Pick<Address, 'token' | 'secret' | 'receive' | 'data'>): string {
  const query = wishes(address).join('&');
  return `/r/${encodeURIComponent(room)}${query ? `?${query}` : ''}${fragment(address)}`;
}

/** The page's own address inside a lobby, as `roomAddress` is that of a room. */
export function lobbyAddress(lobby: string, address: Pick<Address, 'token' | 'receive' | 'data'>): string {
  return `/?${[`lobby=${encodeURIComponent(lobby)}`, ...wishes(address)].join('&')}${fragment(address)}`;
}

function wishes({ receive, data }: Pick<Address, 'receive' | 'data'>): string[] {
  return [...(receive ? [`receive=${receive.join(',')}`] : []), ...(data ? ['data'] : [])];
}

function fragment({ token, secret }: Partial<Pick<Address, 'token' | 'secret'>>): string {
  const parts = [...(secret ? [`key=${encodeURIComponent(secret)}`] : []), ...(token ? [`token=${encodeURIComponent(token)}`] : [])];
  return parts.length > 0 ? `#${parts.join('&')}` : '';
}

/** What to send to whom one wants to be called by. */
export function lobbyLink(origin: string, lobby: string): string {
  return `${origin}/?lobby=${encodeURIComponent(lobby)}`;
}

/** What to send to others: without the token, which is one person's, and with the secret, which is everybody's. */
export function inviteLink(origin: string, room: string, secret?: string): string {
  return `${origin}/r/${encodeURIComponent(room)}${fragment({ secret })}`;
}

/** The server's socket, at the place that the page comes from. */
export function socketAddress(location: { protocol: string; host: string }): string {
  return `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/ws`;
}

/** A room that is easy to say and hard to guess by chance. */
export function randomRoom(random: (bound: number) => number): string {
  const syllables = ['ba', 'de', 'fi', 'go', 'hu', 'ka', 'le', 'mi', 'no', 'pu', 'ra', 'se', 'ti', 'vo', 'wu', 'za'];
  const word = () => Array.from({ length: 3 }, () => syllables[random(syllables.length)]).join('');
  return `${word()}-${word()}`;
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
