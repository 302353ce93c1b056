/** Number plates and vehicle numbers as people type them. The server has the last word. */

/** Without blanks, dots and hyphens, letters large. */
export function tidy(text: string): string {
  return text.replace(/[\s.·•-]/g, '').toUpperCase()
}

/** A province's character, a letter, then five characters, or six of a new-energy vehicle. */
export function isPlate(text: string): boolean {
  return /^[\u4e00-\u9fff][A-Z][A-Z0-9\u4e00-\u9fff]{5,6}$/.test(tidy(text))
}

/** 17 characters; I, O and Q are not used. */
export function isVin(text: string): boolean {
  return /^[A-HJ-NPR-Z0-9]{17}$/.test(tidy(text))
}

/** As it stands on the car: two characters, a dot, the rest. */
export function shownPlate(plate: string): string {
  return plate.length > 2 ? `${plate.slice(0, 2)}·${plate.slice(2)}` : plate
}
