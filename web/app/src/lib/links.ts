/** A piece of a text: a link where `href` is there. */
export interface Piece {
  text: string;
  href?: string;
}

/** Addresses of pages and of people. Anything else that calls itself a link (`javascript:`, `data:`, `file:`) stays text. */
const LINK = /(?:https?:\/\/|www\.)[^\s<>"'`\u3000-\u303f\uff00-\uffef]+|[\w.+-]{1,64}@[a-z0-9-]+(?:\.[a-z0-9-]+)+/giu;

/** A text with its links. Each piece is shown as text: nothing in it is read as HTML. */
export function linked(text: string): Piece[] {
  const pieces: Piece[] = [];
  let from = 0;
  for (const { 0: found, index } of text.matchAll(LINK)) {
    const link = trimmed(found);
    const href = hrefOf(link);
    if (!href) continue;
    if (index > from) pieces.push({ text: text.slice(from, index) });
    pieces.push({ text: link, href });
    from = index + link.length;
  }
  if (from < text.length) pieces.push({ text: text.slice(from) });
  return pieces;
}

/** Without what belongs to the sentence: full stops, and brackets that the link has not opened. */
function trimmed(link: string): string {
  let end = link.replace(/[.,;:!?]+$/u, '');
  for (const [open, close] of [['(', ')'], ['[', ']']] as const) {
    while (end.endsWith(close) && end.split(open).length < end.split(close).length) end = end.slice(0, -1).replace(/[.,;:!?]+$/u, '');
  }
  return end;
}

function hrefOf(link: string): string | undefined {
  const address = link.includes('://') ? link : /^www\./iu.test(link) ? `https://${link}` : `mailto:${link}`;
  if (!URL.canParse(address)) return undefined;
  const url = new URL(address);
  // A name with a password looks like another site's address.
  return ['http:', 'https:', 'mailto:'].includes(url.protocol) && url.username === '' ? url.href : undefined;
}
