import { expect, it, vi } from 'vitest'
import { ApiError } from '@/api/client'
import { useLoad, usePages } from '@/utils/load'

// Texts are set up when the module is loaded: what the platform gives has to be there before.
vi.hoisted(() =>
  vi.stubGlobal('uni', { stopPullDownRefresh: () => {}, showToast: () => {}, getStorageSync: () => '', getLocale: () => 'zh-Hans' }),
)
// The component library is no module for node.
vi.mock('wot-design-uni', () => ({ Locale: { use: () => {} } }))
vi.mock('wot-design-uni/locale/lang/en-US', () => ({ default: {} }))

/** Promises that the test answers. */
function questions<T>() {
  const answers: Array<(answer: T) => void> = []
  return { answers, ask: () => new Promise<T>((resolve) => answers.push(resolve)) }
}

it('shows the answer to the newest question, whichever comes last', async () => {
  const { answers, ask } = questions<string>()
  const page = useLoad(ask)
  const both = Promise.all([page.load(), page.load()])
  answers[1]('second')
  answers[0]('first')
  await both
  expect([page.state.value, page.found.value]).toEqual(['ready', 'second'])
})

it('does not add rows of an earlier list to a newer one', async () => {
  const { answers, ask } = questions<{ items: number[]; next_cursor: string | null }>()
  const list = usePages(ask)
  const first = list.load()
  answers[0]({ items: [1], next_cursor: 'more' })
  await first
  const rest = list.loadMore()
  const again = list.load()
  answers[2]({ items: [7], next_cursor: null })
  answers[1]({ items: [2], next_cursor: null })
  await Promise.all([rest, again])
  expect([list.rows.value, list.more.value, list.loadingMore.value]).toEqual([[7], false, false])
})

it('keeps what it shows when the next answer does not come', async () => {
  let fails = false
  const page = useLoad(() => (fails ? Promise.reject(new Error('gone')) : Promise.resolve('kept')))
  await page.load()
  fails = true
  await page.load()
  expect([page.state.value, page.found.value]).toEqual(['ready', 'kept'])
})

it('asks to sign in when the session has ended, also over what was shown', async () => {
  const answers = [Promise.resolve('mine'), Promise.reject(new ApiError('not_authenticated', 'no', 401))]
  const page = useLoad(() => answers.shift()!)
  await page.load()
  await page.load()
  expect(page.state.value).toBe('signed_out')
})
