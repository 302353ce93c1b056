import { beforeEach, expect, it, vi } from 'vitest'
import { get, post } from '@/api/client'
import { session } from '@/api/session'

interface Asked {
  url: string
  header: Record<string, string>
  data: Record<string, string>
}

const asked: Asked[] = []
const stored: Record<string, string> = {}
let refreshStatus = 200

/** A server that knows one token; each renewal gives another. Cities are for everybody, but no token may be bad. */
function server(good: { token: string }): void {
  vi.stubGlobal('uni', {
    getStorageSync: (name: string) => stored[name] ?? '',
    setStorageSync: (name: string, value: string) => (stored[name] = value),
    removeStorageSync: (name: string) => delete stored[name],
    getLocale: () => 'zh-Hans',
    request(options: Asked & { success: (answer: object) => void }) {
      asked.push(options)
      // As on a network: every request of one moment is refused before the first renewal is answered.
      setTimeout(() => {
        if (options.url.endsWith('/auth/refresh')) {
          if (refreshStatus === 200) good.token = `${options.data.refresh_token}+`
          const data = { token: good.token, refresh_token: good.token }
          options.success({ statusCode: refreshStatus, data: refreshStatus === 200 ? data : { code: 'no', message: 'no' } })
        } else {
          const { Authorization: by } = options.header
          const known = by === `Bearer ${good.token}` || (!by && options.url.endsWith('/cities'))
          options.success({ statusCode: known ? 200 : 401, data: known ? { phone: '1' } : { code: 'not_authenticated', message: 'no' } })
        }
      }, 0)
    },
  })
}

const paths = () => asked.map((one) => one.url.replace('/api/v1', ''))

beforeEach(() => {
  asked.length = 0
  refreshStatus = 200
  server({ token: 'new' })
  session.begin({ token: 'old', refresh_token: 'once' }, '1')
})

it('renews a token once for all calls that it was refused to', async () => {
  const answers = await Promise.all([get('/api/v1/me'), get('/api/v1/me')])
  expect(answers).toEqual([{ phone: '1' }, { phone: '1' }])
  expect(paths().sort()).toEqual(['/auth/refresh', '/me', '/me', '/me', '/me'])
  expect(session.token).toBe('once+')
  expect(asked.find((one) => one.url.endsWith('refresh'))?.header['Idempotency-Key']).toMatch(/^[0-9a-f]{32}$/)
})

it('asks again by the same key when the answer was lost, also after a restart', async () => {
  refreshStatus = 503
  await expect(get('/api/v1/me')).rejects.toMatchObject({ status: 503 })
  session.token = session.refresh = session.renewal = ''
  session.load()
  refreshStatus = 200
  expect(await get('/api/v1/me')).toEqual({ phone: '1' })
  const keys = asked.filter((one) => one.url.endsWith('refresh')).map((one) => one.header['Idempotency-Key'])
  expect(keys).toHaveLength(2)
  expect(keys[0]).toBe(keys[1])
  expect(session.renewal).toBe('')
})

it('takes over what another tab renewed, and does not use the old token again', async () => {
  stored['chargeplat.token'] = 'new'
  stored['chargeplat.refresh'] = 'of the other tab'
  expect(await get('/api/v1/me')).toEqual({ phone: '1' })
  expect(paths()).toEqual(['/me', '/me'])
  expect(session.refresh).toBe('of the other tab')
})

it('ends the session when the refresh token is refused as well', async () => {
  refreshStatus = 401
  let ended = 0
  session.onEnd(() => (ended += 1))
  await expect(get('/api/v1/me')).rejects.toMatchObject({ status: 401 })
  expect([session.token, session.refresh, ended]).toEqual(['', '', 1])
  await expect(get('/api/v1/me')).rejects.toMatchObject({ status: 401 })
  expect(paths()).toEqual(['/me', '/auth/refresh', '/me', '/me'])
})

it('shows what is for everybody when the session has ended', async () => {
  refreshStatus = 401
  expect(await get('/api/v1/cities')).toEqual({ phone: '1' })
  expect(paths()).toEqual(['/cities', '/auth/refresh', '/cities'])
  expect(asked.map((one) => one.header.Authorization)).toEqual(['Bearer old', 'Bearer old', undefined])
  expect(session.refresh).toBe('')
})

it('does nothing twice when the session has ended', async () => {
  refreshStatus = 401
  await expect(post('/api/v1/me/data-export')).rejects.toMatchObject({ status: 401 })
  expect(paths()).toEqual(['/me/data-export', '/auth/refresh'])
})

it('does not go on as another driver who signed in in another tab, and leaves that session alone', async () => {
  Object.assign(stored, { 'chargeplat.token': 'new', 'chargeplat.refresh': 'of Y', 'chargeplat.whose': '2' })
  await expect(get('/api/v1/me')).rejects.toMatchObject({ status: 401 })
  expect(paths()).toEqual(['/me', '/me'])
  expect(asked[1].header.Authorization).toBeUndefined()
  expect([session.token, session.refresh]).toEqual(['', ''])
  expect(stored).toMatchObject({ 'chargeplat.token': 'new', 'chargeplat.refresh': 'of Y', 'chargeplat.whose': '2' })
})

it('stays signed in while the server cannot say', async () => {
  refreshStatus = 503
  await expect(get('/api/v1/me')).rejects.toMatchObject({ status: 503, mayPass: true })
  expect(session.refresh).toBe('once')
})
