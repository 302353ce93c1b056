/** The account that the driver has on the platform: WeChat's or Alipay's. Browsers have none. */
export type Provider = 'wechat' | 'alipay'

/** Of the parts of Alipay's own interface that the framework does not pass on. */
declare const my: {
  getPhoneNumber(options: { success(answer: { response: unknown }): void; fail(): void }): void
}

export function thisProvider(): Provider | null {
  let found: Provider | null = null
  // #ifdef MP-WEIXIN
  found = 'wechat'
  // #endif
  // #ifdef MP-ALIPAY
  found = 'alipay'
  // #endif
  return found
}

/** A code that stands for the driver's account and works once; null where the platform gives none. */
export function accountCode(): Promise<string | null> {
  return new Promise((resolve) => {
    // The scope is Alipay's: this one asks the driver nothing.
    uni.login({ scopes: 'auth_base', success: ({ code }) => resolve(code || null), fail: () => resolve(null) })
  })
}

/** What proves the phone number, after its button was pressed; null when the driver said no. */
export function phoneProof(provider: Provider, detail?: { code?: string }): Promise<string | null> {
  if (provider === 'wechat') return Promise.resolve(detail?.code || null)
  return new Promise((resolve) => {
    let asked = false
    // #ifdef MP-ALIPAY
    asked = true
    my.getPhoneNumber({
      // A text, signed as it is: the server wants it unchanged.
      success: ({ response }) => resolve(typeof response === 'string' ? response : JSON.stringify(response)),
      fail: () => resolve(null),
    })
    // #endif
    if (!asked) resolve(null)
  })
}
