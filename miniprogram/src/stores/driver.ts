/** Who is signed in. */
import { defineStore } from 'pinia'
import { computed, ref } from 'vue'
import { get, post } from '@/api/client'
import { session } from '@/api/session'
import type { Me } from '@/api/types'

export const useDriver = defineStore('driver', () => {
  const signedIn = ref(Boolean(session.token))
  const me = ref<Me | null>(null)
  const phone = computed(() => me.value?.phone ?? '')

  session.onEnd(() => {
    signedIn.value = false
    me.value = null
  })

  async function signIn(number: string, code: string): Promise<void> {
    const answer = await post('/api/v1/auth/login', { body: { phone: number, code } })
    session.begin(answer.token)
    signedIn.value = true
    await load()
  }

  async function load(): Promise<void> {
    signedIn.value = Boolean(session.token)
    if (signedIn.value) me.value = await get('/api/v1/me')
  }

  function signOut(): void {
    session.end()
  }

  return { signedIn, me, phone, signIn, load, signOut }
})
