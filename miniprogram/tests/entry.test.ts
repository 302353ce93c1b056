import { createPinia, setActivePinia } from 'pinia'
import { beforeEach, expect, it, vi } from 'vitest'
import { session } from '@/api/session'
import { askedBy } from '@/utils/consent'
import { agreeOnEntry, useEntry } from '@/utils/entry'
import { ApiError } from '@/api/client'
import { useApp } from '@/stores/app'
import { useDriver } from '@/stores/driver'

vi.mock('wot-design-uni', () => ({ Locale: { use: () => {} } }))
vi.mock('wot-design-uni/locale/lang/en-US', () => ({ default: {} }))

interface Asked {
  url: string
  data: Record<string, string>
  header: Record<string, string>
}
type Answer = [number, object]

const asked: Asked[] = []
const PAIR = { token: 'good', refresh_token: 'once', customer: { phone: '+8613800000001' } }
const NEW_HERE: Answer = [403, { code: 'customers.phone_needed', message: 'bind', data: { bind_ticket: 'ticket' } }]
/** What the server says to each path, one after the other; the last one stays. */
let answers: Record<string, Answer[]>

// What the platform gives has to be there before the texts are set up.
vi.hoisted(() => vi.stubGlobal('uni', { getStorageSync: () => '', getLocale: () => 'zh-Hans' }))

beforeEach(() => {
  asked.length = 0
  answers = { '/me': [[200, { phone: '+8613800000001' }]] }
  vi.stubGlobal('uni', {
    getStorageSync: () => '',
    setStorageSync: () => {},
    removeStorageSync: () => {},
    getLocale: () => 'zh-Hans',
    setTabBarStyle: () => {},
    login: ({ success }: { success(answer: object): void }) => success({ code: 'of the account' }),
    request(options: Asked & { success: (answer: object) => void }) {
      asked.push(options)
      const left = answers[options.url.replace('/api/v1', '')]
      const [statusCode, data] = left.length > 1 ? left.shift()! : left[0]
      options.success({ statusCode, data })
    },
  })
  session.token = session.refresh = ''
  setActivePinia(createPinia())
})

const told = () => asked.map(({ url, data }) => [url.replace('/api/v1', ''), data])

it('lets in whom the platform and the server know', async () => {
  answers['/auth/wechat'] = [[200, PAIR]]
  const entry = useEntry('wechat')
  expect(await entry.byAccount()).toBe(true)
  expect(told()).toEqual([['/auth/wechat', { code: 'of the account' }], ['/me', undefined]])
  expect([session.token, useDriver().phone]).toEqual(['good', '+8613800000001'])
})

it("binds a new WeChat account by the number button's code", async () => {
  answers['/auth/wechat'] = [NEW_HERE]
  answers['/auth/bind-phone'] = [[200, PAIR]]
  const entry = useEntry('wechat')
  expect(await entry.byAccount()).toBe(false)
  expect(entry.ticket.value).toBe('ticket')
  expect(await entry.byButton({})).toBe(false) // the driver said no
  expect(await entry.byButton({ code: 'of the number' })).toBe(true)
  expect(told()).toEqual([
    ['/auth/wechat', { code: 'of the account' }],
    ['/auth/bind-phone', { ticket: 'ticket', phone_code: 'of the number' }],
    ['/me', undefined],
  ])
  expect(entry.ticket.value).toBe('')
})

it('binds a new Alipay account by the text that Alipay signed, as it is', async () => {
  answers['/auth/alipay'] = [NEW_HERE]
  answers['/auth/bind-phone'] = [[200, PAIR]]
  const signed = '{"response":"abc==","sign":"x"}'
  vi.stubGlobal('my', { getPhoneNumber: ({ success }: { success(answer: object): void }) => success({ response: signed }) })
  const entry = useEntry('alipay')
  expect(await entry.byAccount()).toBe(false)
  expect(await entry.byButton()).toBe(true)
  expect(asked[1].data).toEqual({ ticket: 'ticket', phone_response: signed })
  vi.stubGlobal('my', { getPhoneNumber: ({ fail }: { fail(): void }) => fail() })
  expect(await entry.byButton()).toBe(false)
})

it('binds by a code in a text message, with one key for as long as it is one intention', async () => {
  answers['/auth/wechat'] = [NEW_HERE]
  answers['/auth/bind-phone'] = [[400, { code: 'customers.code_wrong', message: 'wrong' }], [200, PAIR]]
  const entry = useEntry('wechat')
  await entry.byAccount()
  await expect(entry.byText('13800000001', '000000')).rejects.toMatchObject({ code: 'customers.code_wrong' })
  expect(await entry.byText('13800000001', '123456')).toBe(true)
  const binds = asked.filter((one) => one.url.endsWith('bind-phone'))
  expect(binds.map((one) => one.data)).toEqual([
    { ticket: 'ticket', phone: '13800000001', code: '000000' },
    { ticket: 'ticket', phone: '13800000001', code: '123456' },
  ])
  expect(new Set(binds.map((one) => one.header['Idempotency-Key'])).size).toBe(1)
})

it('begins anew when the ticket ran out, and says when the platform gives no code', async () => {
  answers['/auth/wechat'] = [NEW_HERE]
  answers['/auth/bind-phone'] = [[400, { code: 'customers.binding_over', message: 'over' }]]
  const entry = useEntry('wechat')
  await entry.byAccount()
  await expect(entry.byButton({ code: 'x' })).rejects.toMatchObject({ code: 'customers.binding_over' })
  expect(entry.ticket.value).toBe('')
  vi.stubGlobal('uni', { ...uni, login: ({ fail }: { fail(): void }) => fail() })
  await expect(entry.byAccount()).rejects.toBeInstanceOf(ApiError)
  expect(session.token).toBe('')
})

it('signs in by text message alone in a browser', async () => {
  answers['/auth/login'] = [[200, PAIR]]
  expect(await useEntry(null).byText('13800000001', '123456')).toBe(true)
  expect(told()[0]).toEqual(['/auth/login', { phone: '13800000001', code: '123456' }])
})

it('knows which refusals ask for agreements', () => {
  const one = { kind: 'terms', version: 2, title: 'T' }
  expect(askedBy(new ApiError('customers.consent_needed', '', 409, { agreements: [one] }))).toEqual([one])
  expect(askedBy(new ApiError('wallet.debt', '', 409, { agreements: [one] }))).toEqual([])
  expect(askedBy(new Error('x'))).toEqual([])
})

it('is in also when what was agreed to is out of date by now, and learns what holds', async () => {
  const info = { agreements: [], colour: '' }
  answers['/auth/login'] = [[200, PAIR]]
  answers['/me/consents'] = [[409, { code: 'customers.agreement_outdated', message: 'read the new one' }]]
  answers['/app'] = [[200, info]]
  expect(await useEntry(null).byText('13800000001', '123456')).toBe(true)
  await agreeOnEntry([{ kind: 'terms', version: 1 }])
  await vi.waitFor(() => expect(useApp().info).toEqual(info))
  expect(told().slice(2)).toEqual([
    ['/me/consents', { agreements: [{ kind: 'terms', version: 1 }] }],
    ['/app', undefined],
  ])
  expect(useDriver().signedIn).toBe(true)
})
