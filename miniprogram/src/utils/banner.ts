/** Where a banner leads. */
import type { Banner } from '@/api/types'

interface Page {
  url: string
  isTab?: boolean
  /** Only for who is signed in. */
  isOwn?: boolean
}

const PAGES: Record<string, Page> = {
  recharge: { url: '/pkg-wallet/recharge', isOwn: true },
  coupons: { url: '/pkg-promo/coupons', isOwn: true },
  scan: { url: '/pages/charge/scan', isTab: true },
  invoices: { url: '/pkg-invoice/index', isOwn: true },
  enterprise: { url: '/pkg-user/enterprise', isOwn: true },
}

/** A page of the app; the activity itself where no other is named, or one that this app does not know yet. */
export function bannerPage({ id, link }: Pick<Banner, 'id' | 'link'>): Page {
  return PAGES[link ?? ''] ?? { url: `/pkg-promo/activity?id=${id}` }
}
