import { mount } from 'svelte';
import './app.css';
import App from './App.svelte';
import { isLibrary } from './library/place.ts';
import './lib/locale.svelte.ts';

const target = document.getElementById('page');
if (target) {
  // Whoever only calls loads nothing of the library.
  if (isLibrary(location.pathname)) void import('./library/LibraryApp.svelte').then(({ default: LibraryApp }) => mount(LibraryApp, { target }));
  else mount(App, { target });
}
