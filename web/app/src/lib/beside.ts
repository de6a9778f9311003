/** Whether a point lies beside a box. */
export function isBeside({ clientX: x, clientY: y }: Pick<MouseEvent, 'clientX' | 'clientY'>, { left, top, right, bottom }: Pick<DOMRect, 'left' | 'top' | 'right' | 'bottom'>): boolean {
  return x < left || x > right || y < top || y > bottom;
}

/**
 * An attachment for a dialog: a click beside it closes it. One between two of its lines does not, though it is the dialog's own, nor one that began inside, as
 * when a text is selected.
 */
export function closesBeside(close: () => void): (dialog: HTMLElement) => () => void {
  return (dialog) => {
    let began = false;
    const beside = (event: MouseEvent) => event.target === dialog && isBeside(event, dialog.getBoundingClientRect());
    const down = (event: PointerEvent) => (began = beside(event));
    const click = (event: MouseEvent) => void (began && beside(event) && close());
    dialog.addEventListener('pointerdown', down);
    dialog.addEventListener('click', click);
    return () => {
      dialog.removeEventListener('pointerdown', down);
      dialog.removeEventListener('click', click);
    };
  };
}
