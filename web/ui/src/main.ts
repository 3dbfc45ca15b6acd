import { mount } from 'svelte';
import App from './App.svelte';
import './app.css';
import { session } from './lib/community.svelte';
import { preferences } from './lib/preferences.svelte';

const target = document.getElementById('app');
if (!target) throw new Error('index.html has no #app');
// English is there to fall back on: a page without words would be worse.
await session.speak(preferences.language).catch(() => {
  preferences.language = 'en';
  return session.speak('en');
});
mount(App, { target });
