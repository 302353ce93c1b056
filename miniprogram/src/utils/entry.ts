/**
 * Ways to sign in. With the platform's account alone nobody is known here: the first time a phone number is bound to it, by
 * the platform's button or by a code in a text message. Each way tells whether the driver is in; false: a number is needed,
 * or the driver said no to it.
 */
import { ref } from 'vue'
import { ApiError, newKey, type Body } from '@/api/client'
import { t } from '@/i18n'
import { useApp } from '@/stores/app'
import { useDriver, type Version } from '@/stores/driver'
import { accountCode, phoneProof, type Provider } from '@/utils/provider'

type Proof = Omit<NonNullable<Body<'/api/v1/auth/bind-phone', 'post'>>, 'ticket'>

export function useEntry(provider: Provider | null) {
  const driver = useDriver()
  /** Of an account that is new here and waits for a number. */
  const ticket = ref('')
  let key = newKey()

  async function byAccount(): Promise<boolean> {
    const code = provider && (await accountCode())
    if (!code) throw new ApiError('no_code', t('login.no_account'), 400)
    ticket.value = await driver.enter(provider, code)
    key = newKey()
    return !ticket.value
  }

  async function byButton(detail?: { code?: string }): Promise<boolean> {
    const proof = provider && (await phoneProof(provider, detail))
    if (!proof) return false
    return bind(provider === 'wechat' ? { phone_code: proof } : { phone_response: proof })
  }

  async function byText(phone: string, code: string): Promise<boolean> {
    if (ticket.value) return bind({ phone, code })
    await driver.signIn(phone, code)
    return true
  }

  async function bind(proof: Proof): Promise<boolean> {
    try {
      await driver.bind(ticket.value, proof, key)
    } catch (error) {
      // The ticket is good for some minutes: after that it begins anew.
      if (error instanceof ApiError && error.code === 'customers.binding_over') ticket.value = ''
      throw error
    }
    ticket.value = ''
    return true
  }

  return { ticket, byAccount, byButton, byText }
}

/**
 * Tell the server what was agreed to by signing in. The driver is in already, and the code is used up: what was refused,
 * since a newer version came meanwhile, or did not arrive is asked when it is needed, at the first start or top-up.
 */
export async function agreeOnEntry(agreements: Version[]): Promise<void> {
  try {
    await useDriver().agree(agreements)
  } catch (error) {
    if (!(error instanceof ApiError)) throw error
    void useApp().load()
  }
}
