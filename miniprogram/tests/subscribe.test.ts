import { afterEach, expect, it, vi } from 'vitest'
import type { AppInfo } from '@/api/types'
import { askForMessages, templatesOf } from '@/utils/subscribe'

const of = (provider: string, ...ids: string[]) => ids.map((template_id) => ({ provider, event: 'charge_ended', template_id }))
const twice = { subscriptions: [...of('alipay', 'a1', 'a1'), ...of('wechat', 'w1', 'w1', 'w2', 'w3')] } as unknown as AppInfo
const info = { subscriptions: [...of('wechat', 'w1', 'w2', 'w3', 'w4'), ...of('alipay', 'a1')] } as unknown as AppInfo

afterEach(() => vi.unstubAllGlobals())

it('asks each platform for its own templates, three at most', () => {
  expect(templatesOf(info, 'wechat')).toEqual(['w1', 'w2', 'w3'])
  expect(templatesOf(info, 'alipay')).toEqual(['a1'])
  expect(templatesOf(info, null)).toEqual([])
  expect(templatesOf(null, 'wechat')).toEqual([])
  expect(templatesOf(twice, 'wechat')).toEqual(['w1', 'w2', 'w3'])
})

it('goes on whatever the driver says, and asks nothing where there is nothing to ask', async () => {
  // In one test both platforms' code is there: the last one named is this one (Alipay), the first one asks.
  const asked: string[][] = []
  vi.stubGlobal('uni', {
    requestSubscribeMessage: ({ tmplIds, complete }: { tmplIds: string[]; complete(): void }) => {
      asked.push(tmplIds)
      complete()
    },
  })
  await askForMessages(info)
  await askForMessages({ subscriptions: [] } as unknown as AppInfo)
  await askForMessages(null)
  expect(asked).toEqual([['a1']])
})

it('goes on where the platform is too old to ask', async () => {
  vi.stubGlobal('uni', {})
  await expect(askForMessages(info)).resolves.toBeUndefined()
})
