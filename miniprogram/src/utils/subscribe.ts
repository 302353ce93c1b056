/** Asks the driver for messages about the charge. It has to be in the tap itself, before anything else is asked for. */
import type { AppInfo } from '@/api/types'
import { thisProvider } from '@/utils/provider'

/** Of the parts of Alipay's own interface that the framework does not pass on. */
declare const my: {
  requestSubscribeMessage(options: { entityIds: string[]; complete(): void }): void
}

/** One tap may ask for so many (WeChat and Alipay alike). */
const MOST = 3

/** The templates that this platform is asked for. */
export function templatesOf(info: AppInfo | null, provider = thisProvider()): string[] {
  const mine = (info?.subscriptions ?? []).filter((one) => one.provider === provider)
  return [...new Set(mine.map((one) => one.template_id))].slice(0, MOST)
}

/** Whatever the driver says, and also where the platform is too old to ask: the charge starts all the same. */
export async function askForMessages(info: AppInfo | null): Promise<void> {
  try {
    await request(templatesOf(info))
  } catch {
    // Alipay's older base libraries have no such question.
  }
}

function request(templates: string[]): Promise<void> {
  return new Promise((resolve) => {
    let asked = false
    // #ifdef MP-WEIXIN
    if (templates.length) {
      asked = true
      uni.requestSubscribeMessage({ tmplIds: templates, complete: () => resolve() })
    }
    // #endif
    // #ifdef MP-ALIPAY
    if (templates.length && !asked) {
      asked = true
      my.requestSubscribeMessage({ entityIds: templates, complete: () => resolve() })
    }
    // #endif
    if (!asked) resolve()
  })
}
