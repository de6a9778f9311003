import { mount, unmount } from 'svelte';
import Mini from '../components/Mini.svelte';
import { stage } from './stage.svelte.ts';

/** Document Picture-in-Picture, which TypeScript's library does not know yet. */
interface PictureWindows {
  requestWindow(options: { width: number; height: number }): Promise<Window>;
}

/** Whether the browser has small windows that stay above others. */
export function hasMini(): boolean {
  return 'documentPictureInPicture' in window;
}

/** Opens the small window, with the page's looks. */
export async function openMini(): Promise<void> {
  const { documentPictureInPicture } = window as unknown as { documentPictureInPicture: PictureWindows };
  const small = await documentPictureInPicture.requestWindow({ width: 360, height: 240 });
  for (const sheet of document.querySelectorAll('link[rel=stylesheet], style')) small.document.head.append(sheet.cloneNode(true));
  small.document.documentElement.lang = document.documentElement.lang;
  small.document.title = document.title;
  const component = mount(Mini, { target: small.document.body, props: { view: small } });
  stage.mini = small;
  small.addEventListener('pagehide', () => {
    stage.mini = undefined;
    void unmount(component);
  });
}
