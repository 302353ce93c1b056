import { defineConfig } from 'vite'
import uniPlugin from '@dcloudio/vite-plugin-uni'

// The plugin is CommonJS: under ESM its function is below `default`.
const uni = (uniPlugin as unknown as { default?: typeof uniPlugin }).default ?? uniPlugin

export default defineConfig({
  plugins: [uni()],
  server: {
    proxy: {
      '/api': 'http://demo.localhost:8000',
      '/files': 'http://demo.localhost:8000',
      '/ws': { target: 'ws://demo.localhost:8000', ws: true },
    },
  },
})
