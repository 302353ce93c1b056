/** A WebSocket that comes back: growing pauses, at most 15 s. Returns what ends it. Without a session it stays away. */
import { ApiError } from '@/api/client'

export type LiveState = 'open' | 'lost' | 'signed_out'

export interface LiveOptions {
  /** The address for each attempt: a ticket is good once. */
  url: () => Promise<string>
  onMessage: (message: unknown) => void
  onState: (state: LiveState) => void
}

const FIRST_PAUSE_MS = 500
const LONGEST_PAUSE_MS = 15_000

export function openLive({ url, onMessage, onState }: LiveOptions): () => void {
  let task: UniApp.SocketTask | null = null
  let closed = false
  let tries = 0
  let timer: ReturnType<typeof setTimeout> | undefined

  const again = () => {
    if (closed || timer) return
    onState('lost')
    timer = setTimeout(connect, Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** tries++))
  }

  async function connect(): Promise<void> {
    timer = undefined
    let address: string
    try {
      address = await url()
    } catch (error) {
      if (!closed && error instanceof ApiError && error.status === 401) {
        closed = true
        onState('signed_out')
      }
      again()
      return
    }
    if (closed) return
    // With a callback it returns the task; without one, a promise.
    task = uni.connectSocket({ url: address, complete: () => {} }) as unknown as UniApp.SocketTask
    task.onOpen(() => onState('open'))
    task.onMessage((event: { data: unknown }) => {
      tries = 0 // not when it opens: the server accepts a socket before it finds that it cannot serve it
      try {
        onMessage(JSON.parse(String(event.data)))
      } catch {
        // Not ours: the REST snapshot is the truth.
      }
    })
    task.onClose(again)
    task.onError(again)
  }

  void connect()
  return () => {
    closed = true
    clearTimeout(timer)
    task?.close({})
  }
}
