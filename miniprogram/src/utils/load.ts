/** Loading of a page: its state, what it shows, and what went wrong. Old content stays while new content comes. */
import { ref, shallowRef } from 'vue'
import { ApiError } from '@/api/client'
import { t } from '@/i18n'

export type LoadState = 'loading' | 'failed' | 'signed_out' | 'empty' | 'ready'

/** What to tell the driver when a call failed. */
export function reason(error: unknown): string {
  if (error instanceof ApiError && error.message && error.status) return error.message
  return t('common.failed')
}

export function useLoad<T>(
  fetch: () => Promise<T>,
  isEmpty: (found: T) => boolean = () => false,
  done: (found: T) => void = () => {},
) {
  let asked = 0
  const state = ref<LoadState>('loading')
  const found = shallowRef<T | null>(null)
  const problem = ref('')

  async function load(): Promise<void> {
    // Answers may overtake each other (another tab, another filter): only that to the newest question is shown.
    const mine = ++asked
    if (!found.value) state.value = 'loading'
    try {
      const answer = await fetch()
      if (mine !== asked) return
      found.value = answer
      done(answer)
      state.value = isEmpty(answer) ? 'empty' : 'ready'
    } catch (error) {
      if (mine !== asked) return
      problem.value = reason(error)
      // What was shown is not this person's any more, and trying again would not help.
      if (error instanceof ApiError && error.status === 401) state.value = 'signed_out'
      else if (found.value) uni.showToast({ title: problem.value, icon: 'none' })
      else state.value = 'failed'
    } finally {
      uni.stopPullDownRefresh()
    }
  }

  return { state, found, problem, load }
}

/** Rows that come page by page, with what the API calls the cursor of the next one. */
export function usePages<T>(fetch: (cursor: string | null) => Promise<{ items: T[]; next_cursor: string | null }>) {
  const rows = shallowRef<T[]>([])
  const more = ref(false)
  const loadingMore = ref(false)
  let cursor: string | null = null

  const { state, found, problem, load } = useLoad(
    () => fetch(null),
    (page) => page.items.length === 0,
    (page) => {
      rows.value = page.items
      cursor = page.next_cursor
      more.value = Boolean(cursor)
    },
  )

  async function loadMore(): Promise<void> {
    if (!cursor || loadingMore.value) return
    loadingMore.value = true
    const first = found.value
    try {
      const page = await fetch(cursor)
      if (found.value !== first) return
      rows.value = [...rows.value, ...page.items]
      cursor = page.next_cursor
      more.value = Boolean(cursor)
    } catch (error) {
      uni.showToast({ title: reason(error), icon: 'none' })
    } finally {
      loadingMore.value = false
    }
  }

  return { state, rows, problem, load, loadMore, more, loadingMore }
}
