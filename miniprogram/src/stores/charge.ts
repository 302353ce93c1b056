/** The charge that runs, if there is one: found again after a restart, shown above every tab page. */
import { defineStore } from 'pinia'
import { ref } from 'vue'
import { get } from '@/api/client'
import { session } from '@/api/session'
import type { Progress } from '@/api/types'

const AGAIN_MS = 15_000
export const ENDED = ['completed', 'failed', 'abnormal']

export const useCharge = defineStore('charge', () => {
  const running = ref<Progress | null>(null)
  let timer: ReturnType<typeof setTimeout> | undefined

  /** Ask the server; as long as one runs, again in a while, so that the bar says what is. */
  async function find(): Promise<void> {
    clearTimeout(timer)
    await ask()
    if (running.value) timer = setTimeout(find, AGAIN_MS)
  }

  async function ask(): Promise<void> {
    if (!session.token) {
      running.value = null
      return
    }
    try {
      const me = await get('/api/v1/me')
      running.value = me.live_order_no
        ? await get('/api/v1/charges/{order_no}', { path: { order_no: me.live_order_no } })
        : null
    } catch {
      // Keep what is shown: the next page that opens asks again.
    }
  }

  /** A newer picture; older ones are not shown. */
  function show(progress: Progress): void {
    if (running.value?.order_no === progress.order_no && progress.sequence < running.value.sequence) return
    running.value = ENDED.includes(progress.state) ? null : progress
  }

  return { running, find, show }
})
