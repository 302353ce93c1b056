/** What holds for the whole app: whose it is and how it looks, the network, large type. */
import { defineStore } from 'pinia'
import { computed, ref } from 'vue'
import { get } from '@/api/client'
import type { AppInfo } from '@/api/types'
import { readable, soft } from '@/utils/colour'

const ELDER = 'chargeplat.elder'
const INFO = 'chargeplat.app'
const COLOUR = '#0a7d50'

export const useApp = defineStore('app', () => {
  const online = ref(true)
  /** null: the driver has not chosen, the operator's wish holds. */
  const chosen = ref<boolean | null>(null)
  const info = ref<AppInfo | null>(null)
  /** Whether the operator's settings could not be asked for. */
  const failed = ref(false)
  const elder = computed(() => chosen.value ?? info.value?.elder_mode ?? false)
  const brand = computed(() => readable(info.value?.colour || COLOUR))
  const dress = computed(() => `--brand: ${brand.value}; --brand-soft: ${soft(brand.value)}`)

  function start(): void {
    const kept: unknown = uni.getStorageSync(ELDER)
    if (typeof kept === 'boolean') chosen.value = kept
    info.value = (uni.getStorageSync(INFO) as AppInfo) || null
    uni.getNetworkType({ success: (found) => (online.value = found.networkType !== 'none') })
    const connected = (is: boolean) => {
      online.value = is
      if (is) void load()
    }
    // #ifdef H5
    // The framework goes by the kind of network, which browsers often do not know: offline would be "unknown", connected.
    window.addEventListener('offline', () => connected(false))
    window.addEventListener('online', () => connected(true))
    // #endif
    // #ifndef H5
    uni.onNetworkStatusChange((changed) => connected(changed.isConnected))
    // #endif
    void load()
  }

  /** What the operator set; the last answer serves until the next one comes. */
  async function load(): Promise<void> {
    try {
      info.value = await get('/api/v1/app')
      uni.setStorageSync(INFO, info.value)
      failed.value = false
    } catch {
      failed.value = true
      // The app works without: in our own colour, with everything on.
    }
    uni.setTabBarStyle({ selectedColor: brand.value, fail: () => {} })
  }

  /** Whether the operator offers something; until it is known, everything. */
  function has(feature: string): boolean {
    return info.value?.features.includes(feature) ?? true
  }

  /** Large type for older eyes; kept on the phone. */
  function setElder(value: boolean): void {
    chosen.value = value
    uni.setStorageSync(ELDER, value)
  }

  return { online, elder, info, failed, brand, dress, start, load, has, setElder }
})
