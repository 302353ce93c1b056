import { expect, it } from 'vitest'
import { ApiError } from '@/api/client'
import type { Quote } from '@/api/types'
import { usePayer } from '@/utils/payer'

const offer = { name: '甲公司', left: null, problem: '' } as Quote['offer']
const quote = { payer: 'enterprise', offer } as Quote

it('charges whom it shows: the choice of the driver, else whom the quote named', () => {
  const payer = usePayer()
  expect(payer.shown.value).toBeNull()
  payer.heard(quote)
  expect([payer.shown.value, payer.chosen.value]).toEqual(['enterprise', null])
  payer.chosen.value = 'wallet'
  expect(payer.shown.value).toBe('wallet')
})

it('goes to the own wallet once the enterprise does not pay, and keeps the choice for every other refusal', () => {
  const payer = usePayer()
  payer.heard(quote)
  expect(payer.refused(new ApiError('orders.enterprise_limit', '', 409))).toBe(false)
  expect(payer.refused(new Error('x'))).toBe(false)
  expect([payer.shown.value, payer.offer.value]).toEqual(['enterprise', offer])
  expect(payer.refused(new ApiError('orders.enterprise_does_not_pay', '', 409))).toBe(true)
  expect(payer.shown.value).toBe('wallet')
  payer.heard({ payer: 'wallet', offer: null } as Quote)
  expect(payer.offer.value).toBeNull()
})
