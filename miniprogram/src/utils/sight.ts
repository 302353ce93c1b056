/** Where the platform's own map looks: we say it, and the driver moves it. What is bound to it follows what it shows. */
import { ref } from 'vue'
import { scaleOf, type View } from '@/utils/box'
import type { Place } from '@/utils/place'

interface Corners {
  southwest: Place
  northeast: Place
}

/** `type` and `causedBy` stand in the event at Alipay, in its detail at WeChat. */
export interface Moved {
  type: string
  causedBy?: string
  detail?: { type?: string; causedBy?: string }
}

/** Of the map with this id; `seen` hears of every part of it that is in sight. */
export function useSight(id: string, seen: (view: View) => void) {
  const middle = ref<Place | null>(null)
  const scale = ref(11)
  /** The map was told where to look, and what is in sight there is not known yet: its sides are not quite ours. */
  let told = false

  function lookAt({ latitude, longitude, span }: View): void {
    middle.value = { latitude, longitude }
    scale.value = scaleOf(span)
    told = true
  }

  /** The map came to rest: by the driver's hand, or (`update`) where it was told to look, which counts once. */
  function moved(event: Moved): void {
    const { type, causedBy } = { ...event, ...event.detail }
    if (type !== 'end' || (causedBy === 'update' && !told)) return
    told = false
    const map = uni.createMapContext(id)
    // Else a scale that was bound before is no change after the driver's own zooming, and the map stays where it is.
    map.getScale({ success: (found: { scale?: number }) => (scale.value = found.scale ?? scale.value) })
    map.getRegion({
      success: ({ southwest, northeast }: Corners) =>
        seen({
          latitude: (southwest.latitude + northeast.latitude) / 2,
          longitude: (southwest.longitude + northeast.longitude) / 2,
          span: northeast.latitude - southwest.latitude,
        }),
    })
  }

  return { middle, scale, lookAt, moved }
}
