import { afterEach, describe, expect, it, vi } from 'vitest'
import { bannerPage } from '@/utils/banner'
import { around, moved, placeIn, scaleOf, sidesOf, zoomed, type View } from '@/utils/box'
import { useSight } from '@/utils/sight'

const NANJING = { latitude: 32, longitude: 118.8, span: 0.2 }

describe('a part of the map', () => {
  it('is as wide as it is high on the ground', () => {
    const { south, north, west, east } = sidesOf(NANJING)
    expect([south, north]).toEqual([31.9, 32.1])
    expect((east - west) * Math.cos((32 * Math.PI) / 180)).toBeCloseTo(0.2, 4)
    expect(sidesOf(NANJING, 2).east - sidesOf(NANJING, 2).west).toBeCloseTo(2 * (east - west), 4)
  })
  it('stays on the globe', () => {
    expect(sidesOf({ latitude: 84, longitude: 179.9, span: 40 })).toEqual({ south: 64, north: 90, west: -11.435445, east: 180 })
    expect(zoomed(NANJING, 1000).span).toBe(40)
    expect(zoomed(NANJING, 0.0001).span).toBe(0.005)
    expect(moved({ ...NANJING, latitude: 84, span: 40 }, 1, 0).latitude).toBe(85)
    expect(moved(NANJING, 0, -1).longitude).toBeCloseTo(118.8 - 0.2 / 3)
  })
  it('has north above and west at the left', () => {
    const sides = { south: 30, north: 40, west: 110, east: 120 }
    expect(placeIn(sides, { latitude: 40, longitude: 110 })).toEqual({ left: 0, top: 0 })
    expect(placeIn(sides, { latitude: 32.5, longitude: 115 })).toEqual({ left: 50, top: 75 })
  })
  it('holds all points', () => {
    const view = around([{ latitude: 32, longitude: 118 }, { latitude: 31, longitude: 121 }])
    expect(view).toEqual({ latitude: 31.5, longitude: 119.5, span: 3 * 1.2 })
    expect(around([{ latitude: 32, longitude: 118 }])?.span).toBe(0.02)
    expect(around([])).toBeNull()
  })
  it('has a scale at which it can be seen', () => {
    expect([360, 40, 3.6, 0.2, 0.005, 0.0001].map(scaleOf)).toEqual([3, 3, 7, 11, 16, 18])
  })
})

describe("the platform's map", () => {
  /** A map of the platform that shows a bit more than it was told to. */
  function opened() {
    const seen: View[] = []
    const map = {
      scale: 11.4,
      getScale: ({ success }: { success(found: object): void }) => success({ scale: map.scale }),
      getRegion: ({ success }: { success(found: object): void }) =>
        success({ southwest: { latitude: 31, longitude: 118 }, northeast: { latitude: 32, longitude: 119 } }),
    }
    vi.stubGlobal('uni', { createMapContext: () => map })
    return { seen, map, sight: useSight('stations', (view) => seen.push(view)) }
  }
  const SEEN = { latitude: 31.5, longitude: 118.5, span: 1 }
  afterEach(() => vi.unstubAllGlobals())

  it('looks at all cities from afar, and asks once for what came into sight', () => {
    const { seen, sight } = opened()
    sight.lookAt({ latitude: 35, longitude: 105, span: 40 })
    expect([sight.scale.value, sight.middle.value]).toEqual([3, { latitude: 35, longitude: 105 }])
    sight.moved({ type: 'begin', causedBy: 'update' })
    for (let n = 0; n < 2; n += 1) sight.moved({ type: 'end', causedBy: 'update' })
    expect(seen).toEqual([SEEN])
  })
  it('follows the hand of the driver, so that the next look is a change', () => {
    const { seen, map, sight } = opened()
    sight.lookAt(NANJING)
    expect(sight.scale.value).toBe(11)
    map.scale = 7.6
    sight.moved({ type: 'regionchange', detail: { type: 'end', causedBy: 'drag' } })
    expect([sight.scale.value, seen]).toEqual([7.6, [SEEN]])
    sight.lookAt(zoomed(NANJING, 0.25))
    expect(sight.scale.value).toBe(13)
  })
})

it('leads from a banner to a page of the app, or to its activity', () => {
  expect(bannerPage({ id: '3', link: '' })).toEqual({ url: '/pkg-promo/activity?id=3' })
  expect(bannerPage({ id: '3', link: 'recharge' })).toMatchObject({ url: '/pkg-wallet/recharge', isOwn: true })
  expect(bannerPage({ id: '3', link: 'scan' })).toMatchObject({ url: '/pages/charge/scan', isTab: true })
  expect(bannerPage({ id: '3', link: 'of a newer server' as 'scan' }).url).toBe('/pkg-promo/activity?id=3')
})
