/** How many messages the driver has not read. */
import { defineStore } from 'pinia'
import { ref } from 'vue'
import { get } from '@/api/client'
import { session } from '@/api/session'

export const useInbox = defineStore('inbox', () => {
  const unread = ref(0)

  async function count(): Promise<void> {
    if (!session.token) {
      unread.value = 0
      return
    }
    try {
      unread.value = (await get('/api/v1/messages/unread')).unread
    } catch {
      // The number is only a hint: what was known stays.
    }
  }

  return { unread, count }
})
