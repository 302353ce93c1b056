import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { ApiError } from '@/api/client'
import { openLive } from '@/utils/live'

interface Socket {
  url: string
  open(): void
  message(data: unknown): void
  drop(): void
  closed: boolean
}

const sockets: Socket[] = []

beforeEach(() => {
  vi.useFakeTimers()
  sockets.length = 0
  vi.stubGlobal('uni', {
    connectSocket({ url }: { url: string }) {
      const heard: Record<string, (event?: unknown) => void> = {}
      const socket: Socket = {
        url,
        closed: false,
        open: () => heard.open(),
        message: (data) => heard.message({ data }),
        drop: () => heard.close(),
      }
      sockets.push(socket)
      return {
        onOpen: (f: () => void) => (heard.open = f),
        onMessage: (f: () => void) => (heard.message = f),
        onClose: (f: () => void) => (heard.close = f),
        onError: (f: () => void) => (heard.error = f),
        close: () => (socket.closed = true),
      }
    },
  })
})

afterEach(() => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
})

it('comes back with a new ticket each time, with growing pauses, and stays away once closed', async () => {
  let tickets = 0
  const states: string[] = []
  const messages: unknown[] = []
  const close = openLive({
    url: async () => `ws://test/${++tickets}`,
    onMessage: (message) => messages.push(message),
    onState: (state) => states.push(state),
  })
  await vi.advanceTimersByTimeAsync(0)
  sockets[0].open()
  sockets[0].message('{"sequence": 1}')
  sockets[0].message('rubbish')
  sockets[0].drop()
  await vi.advanceTimersByTimeAsync(499)
  expect(sockets).toHaveLength(1)
  await vi.advanceTimersByTimeAsync(1)
  sockets[1].drop()
  await vi.advanceTimersByTimeAsync(999)
  expect(sockets).toHaveLength(2)
  await vi.advanceTimersByTimeAsync(1)
  expect(sockets.map((socket) => socket.url)).toEqual(['ws://test/1', 'ws://test/2', 'ws://test/3'])
  expect(messages).toEqual([{ sequence: 1 }])
  expect(states).toEqual(['open', 'lost', 'lost'])
  close()
  sockets[2].drop()
  await vi.advanceTimersByTimeAsync(60_000)
  expect(sockets).toHaveLength(3)
  expect(sockets[2].closed).toBe(true)
})

it('waits longer each time for a server that takes it and says nothing', async () => {
  const close = openLive({ url: async () => 'ws://test/', onMessage: () => {}, onState: () => {} })
  await vi.advanceTimersByTimeAsync(0)
  for (const pause of [500, 1000, 2000]) {
    const count = sockets.length
    sockets[count - 1].open()
    sockets[count - 1].drop()
    await vi.advanceTimersByTimeAsync(pause - 1)
    expect(sockets).toHaveLength(count)
    await vi.advanceTimersByTimeAsync(1)
    expect(sockets).toHaveLength(count + 1)
  }
  close()
})

it('stays away when nobody is signed in any more, and says so once', async () => {
  let tickets = 0
  const states: string[] = []
  const refused = new ApiError('auth.invalid_token', 'no', 401)
  openLive({ url: () => (++tickets, Promise.reject(refused)), onMessage: () => {}, onState: (state) => states.push(state) })
  await vi.advanceTimersByTimeAsync(60_000)
  expect([tickets, states]).toEqual([1, ['signed_out']])
})

it('asks for a ticket again when the server cannot give one', async () => {
  let tickets = 0
  const away = new ApiError('unknown', '', 503)
  const close = openLive({ url: () => (++tickets, Promise.reject(away)), onMessage: () => {}, onState: () => {} })
  await vi.advanceTimersByTimeAsync(500)
  expect(tickets).toBe(2)
  close()
})
