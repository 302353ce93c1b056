import { createI18n } from 'vue-i18n'
import { Locale } from 'wot-design-uni'
import enUS from 'wot-design-uni/locale/lang/en-US'
import en from './locale/en.json'
import zh from './locale/zh-Hans.json'
import { choose, language, type Language } from './utils/language'

export const i18n = createI18n({
  legacy: false,
  globalInjection: true,
  locale: language(),
  fallbackLocale: 'zh-Hans',
  messages: { 'zh-Hans': zh, en },
})

/** Translate outside of a component. */
export function t(key: string, values: Record<string, unknown> = {}): string {
  return i18n.global.t(key, values)
}

/** Speak another language from now on; the tab bar and titles follow when a page is shown. */
export function speak(value: Language): void {
  choose(value)
  i18n.global.locale.value = value
  dressComponents(value)
  dressTabs()
}

/** The component library has words of its own. */
export function dressComponents(value: Language = language()): void {
  if (value === 'en') Locale.use('en-US', enUS)
  else Locale.use('zh-CN')
}

/** The tab bar's texts: a mini-program bakes those of the default language into its build. */
export function dressTabs(): void {
  ;['stations', 'scan', 'orders', 'me'].forEach((name, index) => {
    uni.setTabBarItem({ index, text: t(`tab.${name}`), fail: () => {} })
  })
}
