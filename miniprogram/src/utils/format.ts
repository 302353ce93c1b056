/** How figures of the API are shown. Money comes as a string and is never calculated with. */

/** "3.5" → "3.50"; null → "–". */
export function money(value: string | null | undefined): string {
  if (value === null || value === undefined || value === '') return '–'
  const [whole, fraction = ''] = value.split('.')
  return `${whole}.${fraction.slice(0, 2).padEnd(2, '0')}`
}

/** A price per kWh: all significant decimals, two at least. */
export function price(value: string): string {
  const [whole, fraction = ''] = value.split('.')
  return `${whole}.${fraction.replace(/0+$/, '').padEnd(2, '0')}`
}

/** Metres as the driver thinks of them. */
export function distance(metres: number): string {
  return metres < 950 ? `${Math.round(metres / 10) * 10} m` : `${(metres / 1000).toFixed(1)} km`
}

/** Energy without zeros at the end. */
export function energy(value: string | null | undefined): string {
  if (!value) return '0'
  return value.includes('.') ? value.replace(/0+$/, '').replace(/\.$/, '') : value
}

/** An API time in the business' time zone, whatever the phone's: "11-29 08:05", with the year when asked. */
export function moment(value: string | null | undefined, withYear = false): string {
  if (!value) return '–'
  const shanghai = new Date(new Date(value).getTime() + 8 * 3_600_000).toISOString()
  return shanghai.slice(withYear ? 0 : 5, 16).replace('T', ' ')
}

/** Minutes between two API times. */
export function minutesBetween(from: string | null | undefined, to: string | null | undefined): number {
  if (!from || !to) return 0
  return Math.max(0, Math.round((new Date(to).getTime() - new Date(from).getTime()) / 60_000))
}

/** 138****0001. */
export function maskedPhone(phone: string): string {
  const plain = phone.replace(/^\+86/, '')
  return plain.length < 7 ? plain : `${plain.slice(0, 3)}****${plain.slice(-4)}`
}

/** The sum of amounts, reckoned in whole fen. */
export function total(amounts: string[]): string {
  const fen = amounts.reduce((sum, amount) => {
    const [whole, fraction = ''] = amount.split('.')
    return sum + BigInt(whole + fraction.slice(0, 2).padEnd(2, '0'))
  }, BigInt(0))
  const digits = String(fen).padStart(3, '0')
  return `${digits.slice(0, -2)}.${digits.slice(-2)}`
}
