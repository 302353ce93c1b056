/** Open the camera of a mini-program and return what it read; H5 has its own view (components/qr-camera/qr-camera.vue). */
export function scanCode(): Promise<string | null> {
  return new Promise((resolve) => {
    let supported = false
    // #ifdef MP-WEIXIN || MP-ALIPAY
    supported = true
    uni.scanCode({ onlyFromCamera: false, success: (found) => resolve(found.result), fail: () => resolve(null) })
    // #endif
    if (!supported) resolve(null)
  })
}
