import { svelte } from '@sveltejs/vite-plugin-svelte';
import tailwindcss from '@tailwindcss/vite';
import { defineConfig } from 'vite';

/** Where a server runs during development: `althing` with its defaults. */
const SERVER = process.env['SERVER'] ?? 'http://localhost:8080';

export default defineConfig({
  plugins: [tailwindcss(), svelte()],
  resolve: { conditions: ['source', 'browser', 'module', 'import', 'default'] },
  build: {
    target: 'es2022',
    // The page's policy allows nothing inline: small files stay files, and preloading needs no helper.
    assetsInlineLimit: 0,
    modulePreload: false,
  },
  // Modules, as the page itself is.
  worker: { format: 'es' },
  server: { proxy: { '/ws': { target: SERVER, ws: true, changeOrigin: true }, '/api': { target: SERVER, changeOrigin: true } } },
});
