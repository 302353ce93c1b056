// The position of a station: a marker that is dragged or set by a click, and two fields that say the same in degrees.
// Without tiles the ground is a grid of degrees, so that nothing is asked of another host. All of it is GCJ-02.
(function () {
  const box = document.getElementById("bo-map");
  const data = document.getElementById("bo-map-data");
  if (!box || !data || !window.L) return;
  const { tiles, attribution, stations } = JSON.parse(data.textContent);
  const latitude = document.querySelector('input[name="latitude"]');
  const longitude = document.querySelector('input[name="longitude"]');
  const datum = document.querySelector('select[name="datum"]');
  const fixed = !latitude || !longitude;
  const shown = (name) => {
    const found = document.querySelector(`.field-${name} .readonly`);
    return found ? found.textContent.trim() : "";
  };
  const number = (text) => (/^-?\d+(\.\d+)?$/.test(text.trim()) ? Number(text) : NaN);
  const read = () => {
    const at = fixed ? [number(shown("latitude")), number(shown("longitude"))] : [number(latitude.value), number(longitude.value)];
    return at.every(Number.isFinite) && Math.abs(at[0]) <= 85 && Math.abs(at[1]) <= 180 ? at : null;
  };

  const map = L.map(box, { attributionControl: Boolean(tiles && attribution), zoomControl: false, worldCopyJump: false });
  L.control.zoom({ zoomInTitle: box.dataset.zoomIn, zoomOutTitle: box.dataset.zoomOut }).addTo(map);
  map.attributionControl && map.attributionControl.setPrefix("");
  if (tiles) L.tileLayer(tiles, { maxZoom: 18, attribution }).addTo(map);
  else new (grid())({ maxZoom: 20 }).addTo(map);

  const dots = stations.map(([name, lat, lng]) => {
    const words = document.createElement("span");
    words.textContent = name;
    const dot = L.circleMarker([Number(lat), Number(lng)], { radius: 5, className: "bo-map-other", weight: 1 });
    return dot.bindTooltip(words).addTo(map);
  });
  const icon = L.divIcon({ className: "bo-map-pin", iconSize: [22, 22], iconAnchor: [11, 11] });
  let marker = null;

  function put(at, move) {
    if (marker) marker.setLatLng(at);
    else {
      marker = L.marker(at, { icon, draggable: !fixed, keyboard: !fixed, autoPan: true }).addTo(map);
      marker.getElement().setAttribute("aria-label", box.getAttribute("aria-label")); // it is a button to screen readers
      marker.on("dragend", () => write(marker.getLatLng()));
    }
    if (move) map.panTo(at);
  }

  function write(at) {
    latitude.value = at.lat.toFixed(6);
    longitude.value = at.lng.toFixed(6);
    if (datum) datum.value = "gcj02";
    put([at.lat, at.lng], false);
  }

  const start = read();
  if (start) {
    map.setView(start, 15); // before the marker: without a view it is not drawn yet
    put(start, false);
  } else if (dots.length) map.setView(dots[0].getLatLng(), 10);
  else map.setView([34.5, 108.9], 4); // the middle of China

  if (!fixed) {
    map.on("click", (event) => write(event.latlng.wrap()));
    for (const field of [latitude, longitude])
      field.addEventListener("change", () => {
        const at = read();
        if (at) put(at, true);
      });
  }
  new ResizeObserver(() => map.invalidateSize()).observe(box); // it stands in a tab that is hidden at first

  function grid() {
    return L.GridLayer.extend({
      createTile(coords) {
        const size = this.getTileSize();
        const tile = L.DomUtil.create("canvas", "bo-map-tile");
        tile.width = size.x;
        tile.height = size.y;
        const pen = tile.getContext("2d");
        const colours = getComputedStyle(box);
        const corner = map.unproject(coords.scaleBy(size), coords.z);
        const far = map.unproject(coords.scaleBy(size).add(size), coords.z);
        const steps = [30, 20, 10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001, 0.0005, 0.0002, 0.0001];
        const step = steps.find((one) => one <= (far.lng - corner.lng) / 2) || 0.0001;
        const places = Math.max(0, Math.ceil(-Math.log10(step) - 1e-9));
        pen.strokeStyle = colours.getPropertyValue("--bo-map-line");
        pen.fillStyle = colours.getPropertyValue("--bo-map-text");
        pen.font = "10px sans-serif";
        const line = (from, to) => {
          pen.beginPath();
          pen.moveTo(...from);
          pen.lineTo(...to);
          pen.stroke();
        };
        for (let lng = Math.ceil(corner.lng / step - 1e-9) * step; lng < far.lng; lng += step) {
          const x = Math.round(map.project([0, lng], coords.z).x - coords.x * size.x) + 0.5;
          line([x, 0], [x, size.y]);
          pen.fillText(lng.toFixed(places), x + 3, size.y - 4);
        }
        for (let lat = Math.floor(corner.lat / step + 1e-9) * step; lat > far.lat; lat -= step) {
          const y = Math.round(map.project([lat, 0], coords.z).y - coords.y * size.y) + 0.5;
          line([0, y], [size.x, y]);
          pen.fillText(lat.toFixed(places), 3, y - 3);
        }
        return tile;
      },
    });
  }
})();
