/**
 * The tokens of the signed-in driver. What is stored survives a restart; what was refused is forgotten. The tabs of a
 * browser share what is stored, but each goes on as the driver that it began with.
 */
const KEY = 'chargeplat.token'
const REFRESH = 'chargeplat.refresh'
const RENEWAL = 'chargeplat.renewal'
const WHOSE = 'chargeplat.whose'
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
  /** Phone number that the driver signed in with: whether what another tab stores is this driver's. */
  whose: '',

  /** Read what was stored; called once at the start. */
  load(): void {
    this.token = uni.getStorageSync(KEY) || ''
    this.refresh = uni.getStorageSync(REFRESH) || ''
    this.renewal = uni.getStorageSync(RENEWAL) || ''
    this.whose = uni.getStorageSync(WHOSE) || ''
  },

  /** Take over what another tab of the browser has stored meanwhile; another driver's tokens end the session here. */
  adopt(): void {
    if (!uni.getStorageSync(REFRESH)) return
    if (this.isStored()) this.load()
    else this.end()
  },

  /** Whether what is stored, if anything, is this driver's. */
  isStored(): boolean {
    return (uni.getStorageSync(WHOSE) || '') === this.whose
  },

  /** Keep new tokens: of the driver who signed in, else of the same one as before. */
  begin({ token, refresh_token }: Pair, whose?: string): void {
    this.token = token
    this.refresh = refresh_token
    this.whose = whose ?? this.whose
    uni.setStorageSync(KEY, token)
    uni.setStorageSync(REFRESH, refresh_token)
    uni.setStorageSync(WHOSE, this.whose)
    this.renewBy('')
  },

  /** Keep the key of the renewal before it is asked for: its answer may be lost, and the app closed. */
  renewBy(key: string): void {
    this.renewal = key
    uni.setStorageSync(RENEWAL, key)
  },

  end(): void {
    if (!this.token && !this.refresh) return
    if (this.isStored()) [KEY, REFRESH, RENEWAL, WHOSE].forEach((name) => uni.removeStorageSync(name))
    this.token = this.refresh = this.renewal = this.whose = ''
    listeners.forEach((listener) => listener())
  },

  /** Call back when the session has ended. */
  onEnd(listener: () => void): void {
    listeners.push(listener)
  },
}
