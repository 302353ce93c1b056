/** Claiming of coupons that are offered: one for a tap, whatever the network does. */
import { ref } from 'vue'
import { ApiError, newKey, post } from '@/api/client'
import type { Offer } from '@/api/types'
import { useDriver } from '@/stores/driver'
import { go } from './go'
import { reason } from './load'

/** `done` shows what there is afterwards, also when the claim was refused. */
export function useClaim(done: () => Promise<unknown>) {
  const driver = useDriver()
  /** The offer that is being claimed. */
  const claiming = ref<Offer['id'] | null>(null)
  // A key stays until its claim has an answer: of an offer that is good for several, a second tap would take another.
  const keys = new Map<Offer['id'], string>()

  async function claim(offer: Offer): Promise<void> {
    if (!driver.signedIn) {
      go('/pages/login/index')
      return
    }
    if (claiming.value !== null) return
    claiming.value = offer.id
    const key = keys.get(offer.id) ?? newKey()
    keys.set(offer.id, key)
    try {
      await post('/api/v1/coupons', { key, body: { template_id: offer.id } })
      keys.delete(offer.id)
    } catch (error) {
      if (!(error instanceof ApiError && error.mayPass)) keys.delete(offer.id)
      uni.showToast({ title: reason(error), icon: 'none' })
    }
    await done()
    claiming.value = null
  }

  return { claim, claiming }
}
