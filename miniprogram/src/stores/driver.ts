/** Who is signed in. */
import { defineStore } from 'pinia'
import { computed, ref } from 'vue'
import { get, post } from '@/api/client'
import { session } from '@/api/session'
import type { Agreement, Me } from '@/api/types'

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
    session.begin(answer)
    signedIn.value = true
    await load()
  }

  /** Tell the server what the driver agreed to. */
  async function agree(agreements: Agreement[]): Promise<void> {
    if (!agreements.length) return
    await post('/api/v1/me/consents', {
      body: { agreements: agreements.map(({ kind, version }) => ({ kind, version })) },
    })
    await load()
  }

  async function load(): Promise<void> {
    signedIn.value = Boolean(session.token)
    if (signedIn.value) me.value = await get('/api/v1/me')
  }

  /** On this device: the server forgets the tokens, and so do we, also without a network. */
  async function signOut(): Promise<void> {
    try {
      await post('/api/v1/auth/logout')
    } catch {
      // They run out by themselves.
    }
    session.end()
  }

  return { signedIn, me, phone, signIn, agree, load, signOut }
})
