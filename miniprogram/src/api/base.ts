/** Where the API is: the page's own host on H5, a registered domain in the mini-programs (set at build time). */
const base: string = import.meta.env.VITE_API_BASE ?? ''

export const API_BASE = base.replace(/\/$/, '')

/** The address of a picture or another file from a path of ours: uni-app would put the page's own folder in front of a bare one. */
export function pictureAddress(path: string): string {
  // #ifdef H5
  if (!API_BASE) return location.origin + path
  // #endif
  return API_BASE + path
}

/** A text of the server's with whole addresses of its pictures, which stand in it as paths of ours. */
export function withPictures(html: string): string {
  return html.replace(/ src="(\/[^"]*)"/g, (_whole, path: string) => ` src="${pictureAddress(path)}"`)
}

/** The address of a WebSocket from a path of ours. */
export function socketAddress(path: string): string {
  if (/^wss?:/.test(path)) return path
  const given: string = import.meta.env.VITE_WS_BASE ?? ''
  if (given) return given.replace(/\/$/, '') + path
  if (API_BASE) return API_BASE.replace(/^http/, 'ws') + path
  // #ifdef H5
  return `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}${path}`
  // #endif
  // eslint-disable-next-line no-unreachable
  return path
}
