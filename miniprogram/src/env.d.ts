/// <reference types="vite/client" />
export {}
declare global {
  interface ImportMetaEnv {
    readonly VITE_API_BASE?: string
    readonly VITE_WS_BASE?: string
  }
}

// vue-i18n declares its $t for `@vue/runtime-core`, which the templates' checker does not look at.
declare module '@vue/runtime-core' {
  interface ComponentCustomProperties {
    $t: (key: string, values?: Record<string, unknown>) => string
  }
}
