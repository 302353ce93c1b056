/** Ask once before something that cannot be taken back. */
import { t } from '@/i18n'

export function ask(title: string, content: string, confirmText = title): Promise<boolean> {
  return new Promise((resolve) => {
    uni.showModal({
      title,
      content,
      confirmText,
      cancelText: t('common.cancel'),
      confirmColor: '#b42318',
      success: (answer) => resolve(Boolean(answer.confirm)),
      fail: () => resolve(false),
    })
  })
}
