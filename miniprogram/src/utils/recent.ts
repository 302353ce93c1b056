/** The guns that this phone charged at last, newest first. */
const KEY = 'chargeplat.guns'
const KEPT = 3

export function recentGuns(): string[] {
  const kept: unknown = uni.getStorageSync(KEY)
  return Array.isArray(kept) ? kept.filter((code): code is string => typeof code === 'string') : []
}

export function rememberGun(code: string): void {
  uni.setStorageSync(KEY, [code, ...recentGuns().filter((other) => other !== code)].slice(0, KEPT))
}
