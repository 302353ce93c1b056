/** A part of the map: its middle, and how far it reaches, in degrees. */
export interface View {
  latitude: number
  longitude: number
  /** From its southern to its northern side. */
  span: number
}

export interface Sides {
  south: number
  west: number
  north: number
  east: number
}

const LEAST = 0.005
const MOST = 40
/** A tenth of a metre. */
const PLACES = 6

const rounded = (degrees: number) => Number(degrees.toFixed(PLACES))
const within = (least: number, value: number, most: number) => Math.min(most, Math.max(least, value))

/** The sides of a view that is `ratio` times as wide as it is high; a degree of longitude is shorter than one of latitude. */
export function sidesOf({ latitude, longitude, span }: View, ratio = 1): Sides {
  const wide = (span * ratio) / Math.max(0.1, Math.cos((latitude * Math.PI) / 180))
  return {
    south: rounded(within(-90, latitude - span / 2, 90)),
    north: rounded(within(-90, latitude + span / 2, 90)),
    west: rounded(within(-180, longitude - wide / 2, 180)),
    east: rounded(within(-180, longitude + wide / 2, 180)),
  }
}

/** The scale at which a platform's map shows about so many degrees: each step halves them; it takes 3 to 18. */
export function scaleOf(span: number): number {
  return within(3, Math.round(Math.log2(360 / span)), 18)
}

/** Nearer (a factor below 1) or from farther away. */
export function zoomed(view: View, factor: number): View {
  return { ...view, span: within(LEAST, view.span * factor, MOST) }
}

/** A step to a side: a third of what is seen. */
export function moved(view: View, north: number, east: number): View {
  return {
    ...view,
    latitude: within(-85, view.latitude + (north * view.span) / 3, 85),
    longitude: within(-180, view.longitude + (east * view.span) / 3, 180),
  }
}

/** Where a point stands in a picture of a part of the map, in percent from its left upper corner. */
export function placeIn(sides: Sides, point: { latitude: number; longitude: number }): { left: number; top: number } {
  return {
    left: (100 * (point.longitude - sides.west)) / (sides.east - sides.west),
    top: (100 * (sides.north - point.latitude)) / (sides.north - sides.south),
  }
}

/** A view that holds all points; null for none. */
export function around(points: Array<{ latitude: number; longitude: number }>): View | null {
  if (!points.length) return null
  const latitudes = points.map((one) => one.latitude)
  const longitudes = points.map((one) => one.longitude)
  const [south, north] = [Math.min(...latitudes), Math.max(...latitudes)]
  const [west, east] = [Math.min(...longitudes), Math.max(...longitudes)]
  const span = Math.max(north - south, east - west) * 1.2
  return { latitude: (south + north) / 2, longitude: (west + east) / 2, span: within(0.02, span, MOST) }
}
