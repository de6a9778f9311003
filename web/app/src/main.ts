import { mount } from 'svelte';
import './app.css';
import App from './App.svelte';
import './lib/locale.svelte.ts';

const target = document.getElementById('page');
if (target) mount(App, { target });
