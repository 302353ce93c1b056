/** What the API wants agreed to before it takes money: a refusal that names versions of agreements. */
import { ApiError } from '@/api/client'
import type { Version } from '@/stores/driver'

export type Asked = Version & { title: string }

/** The agreements that a refusal asks for; none for every other one. */
export function askedBy(error: unknown): Asked[] {
  if (!(error instanceof ApiError) || error.code !== 'customers.consent_needed') return []
  return (error.data.agreements as Asked[]) ?? []
}
