/** The language of the app: what the driver chose, else the device's; Chinese unless English. */
export type Language = 'zh-Hans' | 'en'
const KEY = 'chargeplat.language'

export function language(): Language {
  const chosen = uni.getStorageSync(KEY)
  if (chosen === 'en' || chosen === 'zh-Hans') return chosen
  return (uni.getLocale() ?? '').toLowerCase().startsWith('en') ? 'en' : 'zh-Hans'
}

export function choose(value: Language): void {
  uni.setStorageSync(KEY, value)
  uni.setLocale(value)
}
