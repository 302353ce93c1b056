import { defineConfig, type Plugin } from 'vite'
import uniPlugin from '@dcloudio/vite-plugin-uni'

// The plugin is CommonJS: under ESM its function is below `default`.
const uni = (uniPlugin as unknown as { default?: typeof uniPlugin }).default ?? uniPlugin

/** The framework's stylesheet names a picture on its vendor's host; nothing of ours asks another host for anything. */
const ownHostOnly: Plugin = {
  name: 'own-host-only',
  enforce: 'post',
  generateBundle(_options, bundle) {
    for (const file of Object.values(bundle)) {
      if (file.type === 'asset' && file.fileName.endsWith('.css')) {
        file.source = String(file.source).replace(/url\(\s*["']?https?:[^)]*\)/g, 'none')
      }
    }
  },
}

export default defineConfig({
  plugins: [uni(), ownHostOnly],
  // Texts are compiled without `new Function`, which the page's content security policy forbids.
  define: { __INTLIFY_JIT_COMPILATION__: true },
  server: {
    proxy: {
      '/api': 'http://demo.localhost:8000',
      '/files': 'http://demo.localhost:8000',
      '/ws': { target: 'ws://demo.localhost:8000', ws: true },
    },
  },
})
