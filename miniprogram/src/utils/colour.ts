/** The operator's colour, dark enough to be read: as text on white and on its own light tint, and under white text. */
const LEAST = 4.5
const STEP = 0.94
const TINT = 0.9

type Rgb = [number, number, number]
const OURS: Rgb = [10, 125, 80]

function parse(colour: string): Rgb | null {
  const found = /^#([0-9a-f]{6})$/i.exec(colour)
  if (!found) return null
  const number = parseInt(found[1], 16)
  return [number >> 16, (number >> 8) & 255, number & 255]
}

const write = (rgb: Rgb) => `#${rgb.map((part) => Math.round(part).toString(16).padStart(2, '0')).join('')}`
const tint = (rgb: Rgb) => rgb.map((part) => part + (255 - part) * TINT) as Rgb

/** Relative luminance (WCAG 2.1). */
function luminance(rgb: Rgb): number {
  const [red, green, blue] = rgb.map((part) => {
    const share = part / 255
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4
  })
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue
}

function ratio(one: Rgb, other: Rgb): number {
  const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b)
  return (light + 0.05) / (dark + 0.05)
}

/** The contrast of two colours, 1 to 21. */
export function contrast(one: string, other: string): number {
  return ratio(parse(one) ?? OURS, parse(other) ?? OURS)
}

/** The colour, darkened until its contrast to its own tint (and so to white) is 4.5; what is no colour stays out. */
export function readable(colour: string): string {
  let rgb = parse(colour) ?? OURS
  // Whole numbers, as they are written: what is shown is what was measured.
  const whole = (parts: Rgb) => parts.map(Math.round) as Rgb
  while (ratio(whole(rgb), whole(tint(whole(rgb)))) < LEAST) rgb = rgb.map((part) => part * STEP) as Rgb
  return write(rgb)
}

/** Its light tint, for what is chosen. */
export function soft(colour: string): string {
  return write(tint(parse(colour) ?? OURS))
}
