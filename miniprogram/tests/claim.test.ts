import { createPinia, setActivePinia } from 'pinia'
import { beforeEach, expect, it, vi } from 'vitest'
import type { Offer } from '@/api/types'
import { useDriver } from '@/stores/driver'
import { useClaim } from '@/utils/claim'

const asked = vi.hoisted(() => [] as Array<{ key: string; answer: (status: number) => void }>)
const opened = vi.hoisted(() => [] as string[])
// Texts are set up when a module is loaded: what the platform gives has to be there before.
vi.hoisted(() =>
  vi.stubGlobal('uni', {
    getStorageSync: () => '',
    getLocale: () => 'zh-Hans',
    showToast: () => {},
    navigateTo: ({ url }: { url: string }) => opened.push(url),
    request: ({ header, success }: { header: Record<string, string>; success: (answer: object) => void }) =>
      asked.push({ key: header['Idempotency-Key'], answer: (statusCode) => success({ statusCode, data: {} }) }),
  }),
)
// The component library is no module for node.
vi.mock('wot-design-uni', () => ({ Locale: { use: () => {} } }))
vi.mock('wot-design-uni/locale/lang/en-US', () => ({ default: {} }))

const offer = { id: 7 } as unknown as Offer
let shown = 0
const done = async () => void (shown += 1)

beforeEach(() => {
  asked.length = opened.length = shown = 0
  setActivePinia(createPinia())
  useDriver().signedIn = true
})

it('claims once however often it is tapped, and by the same key until there is an answer', async () => {
  const { claim, claiming } = useClaim(done)
  const first = claim(offer)
  await claim(offer)
  expect([asked.length, claiming.value]).toEqual([1, 7])
  asked[0].answer(503)
  await first
  expect([shown, claiming.value]).toEqual([1, null])
  const second = claim(offer)
  asked[1].answer(201)
  await second
  expect(asked[1].key).toBe(asked[0].key)
  const another = claim(offer)
  asked[2].answer(409)
  await another
  expect(asked[2].key).not.toBe(asked[0].key)
})

it('leads to the sign-in whoever is not signed in', async () => {
  useDriver().signedIn = false
  await useClaim(done).claim(offer)
  expect([asked.length, opened]).toEqual([0, ['/pages/login/index']])
})
