import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig, type Plugin } from 'vite';

const outDir = resolve(process.env.WEB_DIST ?? 'dist');
const dashboard = process.env.HIDAMARI_URL ?? 'http://127.0.0.1:8080';

/** Writes `.br` and `.gz` beside every text asset, so that the server never compresses. */
function precompress(): Plugin {
  const text = /\.(html|js|css|svg|txt|webmanifest)$/;
  return {
    name: 'precompress',
    apply: 'build',
    closeBundle() {
      for (const name of readdirSync(outDir, { recursive: true, encoding: 'utf8' })) {
        if (!text.test(name)) continue;
        const path = join(outDir, name);
        const plain = readFileSync(path);
        const params = { [constants.BROTLI_PARAM_QUALITY]: 11 };
        writeFileSync(`${path}.br`, brotliCompressSync(plain, { params }));
        writeFileSync(`${path}.gz`, gzipSync(plain, { level: 9 }));
      }
    },
  };
}

/** Writes THIRD-PARTY.txt: name, version, licence and licence text of every bundled package. */
function thirdParty(): Plugin {
  return {
    name: 'third-party',
    apply: 'build',
    generateBundle(_options, bundle) {
      const folders = new Set<string>();
      for (const chunk of Object.values(bundle)) {
        if (chunk.type !== 'chunk') continue;
        for (const id of chunk.moduleIds) {
          const found = /^\0?(.*\/node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(id);
          if (found?.[1]) folders.add(found[1]);
        }
      }
      const parts = [...folders].sort().map(describePackage);
      const source = `The dashboard's page contains these packages.\n\n${parts.join('\n')}`;
      this.emitFile({ type: 'asset', fileName: 'THIRD-PARTY.txt', source });
    },
  };
}

function describePackage(folder: string): string {
  const about = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as {
    name: string;
    version: string;
    license?: string;
  };
  if (!about.license) throw new Error(`${about.name} ${about.version} states no licence`);
  const file = readdirSync(folder).find((name) => /^licen[cs]e/i.test(name));
  const text = file ? readFileSync(join(folder, file), 'utf8').trim() : '';
  return `${about.name} ${about.version} (${about.license})\n\n${text}\n\n${'-'.repeat(72)}\n`;
}

export default defineConfig({
  plugins: [svelte(), thirdParty(), precompress()],
  build: { outDir, target: 'es2022', assetsInlineLimit: 0, emptyOutDir: true },
  server: { host: '127.0.0.1', proxy: { '/api': dashboard } },
  preview: { host: '127.0.0.1', proxy: { '/api': dashboard } },
});
