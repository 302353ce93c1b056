/** Photos that the driver chooses, and their way to the server: a ticket, then the picture itself. */
import { API_BASE } from '@/api/base'
import { ApiError, newKey, post, problem } from '@/api/client'
import { t } from '@/i18n'

export interface Photo {
  path: string
  size: number
  type: 'image/jpeg' | 'image/png' | 'image/webp'
  /** Given once it is uploaded. */
  number: string
}

/** The server's own limit, in bytes. */
const LARGEST = 5_000_000

/** By what the browser says, else by the name's end; a camera takes JPEG. */
export function mediaType(name: string, said = ''): Photo['type'] {
  if (said === 'image/png' || /\.png$/i.test(name)) return 'image/png'
  if (said === 'image/webp' || /\.webp$/i.test(name)) return 'image/webp'
  return 'image/jpeg'
}

/** Let the driver choose; nothing chosen is an empty list. Rejects with a reason when one is too large. */
export function choosePhotos(count: number): Promise<Photo[]> {
  return new Promise((resolve, reject) => {
    uni.chooseImage({
      count,
      sizeType: ['compressed'],
      success: ({ tempFilePaths, tempFiles }) => {
        const files = tempFiles as Array<{ size: number; name?: string; type?: string }>
        const chosen = [tempFilePaths].flat().map((path, index) => ({
          path,
          size: files[index].size,
          type: mediaType(files[index].name ?? path, files[index].type),
          number: '',
        }))
        if (chosen.some((one) => one.size > LARGEST)) reject(new ApiError('too_large', t('feedback.too_large'), 400))
        else resolve(chosen.slice(0, count))
      },
      fail: () => resolve([]),
    })
  })
}

/** Upload what is not yet; each photo once, also when the sending is tried again. */
export async function uploadPhotos(photos: Photo[]): Promise<string[]> {
  for (const photo of photos) {
    if (photo.number) continue
    const ticket = await post('/api/v1/feedback/photos', { body: { media_type: photo.type, size: photo.size, name: 'photo' } })
    await upload(photo.path, ticket.url, ticket.fields)
    photo.number = ticket.number
  }
  return photos.map((photo) => photo.number)
}

/** Make a picture the driver's own: a ticket, the picture, and then the word that it is there. */
export async function uploadAvatar(photo: Photo): Promise<void> {
  const body = { media_type: photo.type, size: photo.size }
  const ticket = await post('/api/v1/me/avatar/ticket', { key: newKey(), body })
  await upload(photo.path, ticket.url, ticket.fields)
  await post('/api/v1/me/avatar', { body: { number: ticket.number } })
}

function upload(filePath: string, url: string, formData: Record<string, string>): Promise<void> {
  return new Promise((resolve, reject) => {
    uni.uploadFile({
      url: url.startsWith('/') ? API_BASE + url : url,
      filePath,
      name: 'file',
      formData,
      success: ({ statusCode, data }) => {
        if (statusCode >= 200 && statusCode < 300) resolve()
        else reject(problem(statusCode, parsed(data)))
      },
      fail: (failure) => reject(new ApiError('network', failure.errMsg, 0)),
    })
  })
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
