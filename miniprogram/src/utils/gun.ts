/** The code of a gun out of what was scanned or typed: an address of ours that names it, or its number. */
const NUMBER = /^\d{16}$/
const LONGEST = 500

export function parseGun(text: string): string | null {
  const trimmed = text.trim()
  if (trimmed.length > LONGEST) return null
  const bare = trimmed.replace(/[\s-]/g, '')
  if (NUMBER.test(bare)) return bare
  if (!/^https?:\/\//i.test(trimmed)) return null
  const found = /[?&]gun=(\d{16})(?:[&#]|$)/.exec(trimmed) ?? /\/(\d{16})\/?$/.exec(trimmed)
  return found ? found[1] : null
}
