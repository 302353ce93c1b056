/**
 * Who pays for a charge, as it is shown: the driver's choice on this page, else whom the last quote named. A quote that
 * failed takes nothing away: the driver may choose the other one then.
 */
import { computed, ref } from 'vue'
import { ApiError } from '@/api/client'
import type { Quote } from '@/api/types'

type Payer = Quote['payer']

export function usePayer() {
  const chosen = ref<Payer | null>(null)
  const quoted = ref<Payer | null>(null)
  const offer = ref<Quote['offer']>(null)
  /** What the driver sees, so that nobody else is charged; null: not known yet, the server goes by the driver's page. */
  const shown = computed(() => chosen.value ?? quoted.value)

  function heard(quote: Quote): void {
    quoted.value = quote.payer
    offer.value = quote.offer
  }

  /** Whether a refusal says that the enterprise does not pay any more: the driver's own wallet is chosen then. */
  function refused(error: unknown): boolean {
    if (!(error instanceof ApiError) || error.code !== 'orders.enterprise_does_not_pay') return false
    chosen.value = 'wallet'
    return true
  }

  return { chosen, offer, shown, heard, refused }
}
