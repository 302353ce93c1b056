/** Where the driver is; asked once, kept for a while. Refused is an answer: the driver chooses a city then. */
export interface Place {
  latitude: number
  longitude: number
}

export function whereAmI(): Promise<Place | null> {
  let type = 'gcj02'
  // #ifdef H5
  // A browser gives WGS-84, some hundred metres beside; to turn it round the framework wants a map's key.
  type = 'wgs84'
  // #endif
  return new Promise((resolve) => {
    uni.getLocation({
      type,
      success: ({ latitude, longitude }) => resolve({ latitude, longitude }),
      fail: () => resolve(null),
    })
  })
}

/** Begin navigation to a station: the map app of the phone, or a map page of the platform. */
export function navigateTo(place: Place & { name: string; address: string }): void {
  uni.openLocation({ ...place, fail: () => uni.setClipboardData({ data: `${place.name} ${place.address}` }) })
}
