/** The tokens of the signed-in driver. What is stored survives a restart; what was refused is forgotten. */
const KEY = 'chargeplat.token'
const REFRESH = 'chargeplat.refresh'
const RENEWAL = 'chargeplat.renewal'
const listeners: Array<() => void> = []

export interface Pair {
  token: string
  refresh_token: string
}

export const session = {
  token: '',
  refresh: '',
  /** Idempotency-Key of the one renewal that the refresh token is good for; "" before it is first tried. */
  renewal: '',

  /** Read what was stored; called once at the start. */
  load(): void {
    this.token = uni.getStorageSync(KEY) || ''
    this.refresh = uni.getStorageSync(REFRESH) || ''
    this.renewal = uni.getStorageSync(RENEWAL) || ''
  },

  /** Take over what another tab of the browser has stored meanwhile. */
  adopt(): void {
    if (uni.getStorageSync(REFRESH)) this.load()
  },

  begin({ token, refresh_token }: Pair): void {
    this.token = token
    this.refresh = refresh_token
    uni.setStorageSync(KEY, token)
    uni.setStorageSync(REFRESH, refresh_token)
    this.renewBy('')
  },

  /** Keep the key of the renewal before it is asked for: its answer may be lost, and the app closed. */
  renewBy(key: string): void {
    this.renewal = key
    uni.setStorageSync(RENEWAL, key)
  },

  end(): void {
    if (!this.token && !this.refresh) return
    this.token = this.refresh = this.renewal = ''
    uni.removeStorageSync(KEY)
    uni.removeStorageSync(REFRESH)
    uni.removeStorageSync(RENEWAL)
    listeners.forEach((listener) => listener())
  },

  /** Call back when the session has ended. */
  onEnd(listener: () => void): void {
    listeners.push(listener)
  },
}
