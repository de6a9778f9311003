/** What opens above the page. */
export type DialogName = 'shortcuts' | 'invite' | 'settings';

let open = $state<DialogName | undefined>(undefined);

/** The dialog that is open. */
export function openDialog(): DialogName | undefined {
  return open;
}

/** Opens a dialog, or closes it. */
export function showDialog(name: DialogName | undefined): void {
  open = name;
}
