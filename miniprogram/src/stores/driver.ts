/** Who is signed in. */
import { defineStore } from 'pinia'
import { computed, ref } from 'vue'
import { ApiError, get, newKey, post, type Body } from '@/api/client'
import { session, type Pair } from '@/api/session'
import type { Me } from '@/api/types'
import type { Provider } from '@/utils/provider'

/** A version of an agreement. */
export type Version = Pick<NonNullable<Body<'/api/v1/me/consents', 'post'>>['agreements'][number], 'kind' | 'version'>

export const useDriver = defineStore('driver', () => {
  const signedIn = ref(Boolean(session.token))
  const me = ref<Me | null>(null)
  const phone = computed(() => me.value?.phone ?? '')

  session.onEnd(() => {
    signedIn.value = false
    me.value = null
  })

  async function begin(answer: Pair & { customer: { phone: string } }): Promise<void> {
    session.begin(answer, answer.customer.phone)
    signedIn.value = true
    await load()
  }

  async function signIn(number: string, code: string): Promise<void> {
    await begin(await post('/api/v1/auth/login', { body: { phone: number, code } }))
  }

  /** With the platform's account. Returns a ticket where a phone number has to be bound to it first, else "". */
  async function enter(provider: Provider, code: string): Promise<string> {
    const path = provider === 'wechat' ? '/api/v1/auth/wechat' : '/api/v1/auth/alipay'
    try {
      await begin(await post(path, { key: newKey(), body: { code } }))
      return ''
    } catch (error) {
      if (error instanceof ApiError && error.code === 'customers.phone_needed') return String(error.data.bind_ticket)
      throw error
    }
  }

  /** Bind a number to the account of a ticket, and sign in. */
  async function bind(ticket: string, proof: object, key: string): Promise<void> {
    await begin(await post('/api/v1/auth/bind-phone', { key, body: { ticket, ...proof } }))
  }

  /** Tell the server what the driver agreed to. */
  async function agree(agreements: Version[]): Promise<void> {
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

  return { signedIn, me, phone, signIn, enter, bind, agree, load, signOut }
})
