/** What holds for the whole app: the network, large type, where the driver is. */
import { defineStore } from 'pinia'
import { ref } from 'vue'

const ELDER = 'chargeplat.elder'

export const useApp = defineStore('app', () => {
  const online = ref(true)
  const elder = ref(false)

  function start(): void {
    elder.value = Boolean(uni.getStorageSync(ELDER))
    uni.getNetworkType({ success: (found) => (online.value = found.networkType !== 'none') })
    // #ifdef H5
    // Browsers that know the kind of network are asked for its changes only, which being offline is none of.
    window.addEventListener('offline', () => (online.value = false))
    window.addEventListener('online', () => (online.value = true))
    // #endif
    uni.onNetworkStatusChange((changed) => (online.value = changed.isConnected))
  }

  /** Large type for older eyes; kept on the phone. */
  function setElder(value: boolean): void {
    elder.value = value
    uni.setStorageSync(ELDER, value)
  }

  return { online, elder, start, setElder }
})
