/** Open a file of ours: a tab on H5, the platform's reader in a mini-program. False: it could not be opened. */
import { API_BASE } from '@/api/base'

export function openFile(path: string, kind: string): Promise<boolean> {
  return new Promise((resolve) => {
    let done = false
    // #ifdef H5
    done = true
    window.open(API_BASE + path, '_blank', 'noopener')
    resolve(true)
    // #endif
    if (done) return
    uni.downloadFile({
      url: API_BASE + path,
      success: ({ tempFilePath }) =>
        uni.openDocument({
          filePath: tempFilePath,
          fileType: kind as 'pdf',
          showMenu: true,
          success: () => resolve(true),
          fail: () => resolve(false),
        }),
      fail: () => resolve(false),
    })
  })
}
