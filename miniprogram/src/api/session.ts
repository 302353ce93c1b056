/** The token of the signed-in driver. What is stored survives a restart; a token that was refused is forgotten. */
const KEY = 'chargeplat.token'
const listeners: Array<() => void> = []

export const session = {
  token: '',

  /** Read what was stored; called once at the start. */
  load(): void {
    this.token = uni.getStorageSync(KEY) || ''
  },

  begin(token: string): void {
    this.token = token
    uni.setStorageSync(KEY, token)
  },

  end(): void {
    if (!this.token) return
    this.token = ''
    uni.removeStorageSync(KEY)
    listeners.forEach((listener) => listener())
  },

  /** Call back when the session has ended. */
  onEnd(listener: () => void): void {
    listeners.push(listener)
  },
}
