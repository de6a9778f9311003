/** How a picture is looked at: its scale, and how far its middle is from the middle of the page (CSS pixels). */
export interface View {
  scale: number;
  x: number;
  y: number;
}

const LARGEST = 20;

/** The whole picture. */
export function fit(): View {
  return { scale: 1, x: 0, y: 0 };
}

/** The picture at another scale; what is at `at` (from the middle of the page) stays there. A picture that is whole is in the middle. */
export function zoomed(view: View, wanted: number, at: { x: number; y: number }): View {
  const scale = Math.min(LARGEST, Math.max(1, wanted));
  if (scale === 1) return fit();
  const factor = scale / view.scale;
  return { scale, x: at.x - (at.x - view.x) * factor, y: at.y - (at.y - view.y) * factor };
}

/** The same view, but never past the edges of the picture: a page of `width` by `height` is always covered. */
export function held({ scale, x, y }: View, width: number, height: number): View {
  const within = (value: number, size: number) => Math.min((size * (scale - 1)) / 2, Math.max((-size * (scale - 1)) / 2, value));
  return { scale, x: within(x, width), y: within(y, height) };
}
