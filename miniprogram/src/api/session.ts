/** The tokens of the signed-in driver. What is stored survives a restart; what was refused is forgotten. */
const KEY = 'chargeplat.token'
const REFRESH = 'chargeplat.refresh'
const listeners: Array<() => void> = []

export interface Pair {
  token: string
  refresh_token: string
}

export const session = {
  token: '',
  refresh: '',

  /** Read what was stored; called once at the start. */
  load(): void {
    this.token = uni.getStorageSync(KEY) || ''
    this.refresh = uni.getStorageSync(REFRESH) || ''
  },

  begin({ token, refresh_token }: Pair): void {
    this.token = token
    this.refresh = refresh_token
    uni.setStorageSync(KEY, token)
    uni.setStorageSync(REFRESH, refresh_token)
  },

  end(): void {
    if (!this.token && !this.refresh) return
    this.token = this.refresh = ''
    uni.removeStorageSync(KEY)
    uni.removeStorageSync(REFRESH)
    listeners.forEach((listener) => listener())
  },

  /** Call back when the session has ended. */
  onEnd(listener: () => void): void {
    listeners.push(listener)
  },
}
