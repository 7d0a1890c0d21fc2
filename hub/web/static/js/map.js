// The commune's own vector map: no tiles, no other host. Colours come from the theme's CSS variables.
import { fragment } from "./page.js";

const SIZES = { 1: 42, 2: 52, 3: 38, 4: 38 };

let map = null;
let surface = null;
const alerts = new Map();
let devices = null;
let onPick = () => {};
let selected = null;
let isFitted = false;
let area = null;
let places = { surface: "/mapa/comuna.geojson", devices: "/mapa/dispositivos.json" };

const isVisible = () => map.getSize().x > 0 && map.getSize().y > 0;

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

// What a feature is: `properties.kind`, English or Spanish, else guessed from its geometry.
const KINDS = {
  boundary: "commune", commune: "commune", comuna: "commune", limite: "commune", limit: "commune",
  sector: "sector", area: "sector", district: "sector", barrio: "sector", town: "sector", urban: "sector", village: "sector",
  park: "green", plaza: "green", green: "green", forest: "green", parque: "green",
  river: "river", rio: "river", estero: "river", stream: "stream", canal: "stream", quebrada: "stream",
  sea: "sea", mar: "sea", ocean: "sea",
  water: "water", lake: "water", laguna: "water", lago: "water",
  road: "road", route: "road", ruta: "road", highway: "road", camino: "road",
  street: "street", calle: "street", track: "street", path: "street",
  place: "point", lugar: "point",
};
const BY_GEOMETRY = { Polygon: "sector", MultiPolygon: "sector", LineString: "road", MultiLineString: "road", Point: "point", MultiPoint: "point" };
const ORDER = ["sea", "commune", "green", "sector", "water", "stream", "river", "street", "road", "point"];

const SEA = /^(océano|mar)\b/i;

function kindOf(feature) {
  const kind = KINDS[feature.properties?.kind] ?? BY_GEOMETRY[feature.geometry?.type] ?? "point";
  // Many sources call the sea plain water; drawn as a lake it would outshine the land.
  return kind === "water" && SEA.test(feature.properties?.name ?? "") ? "sea" : kind;
}

// Roads get wider as one comes closer, as on paper.
const line = (name, weight) => ({
  color: colour(name),
  weight: weight * Math.max(1, 1 + (map.getZoom() - 12.5) * 0.7),
  lineCap: "round",
  fill: false,
});

const STYLES = {
  commune: () => ({ color: colour("map-edge"), weight: 2, fillColor: colour("map-land"), fillOpacity: 1 }),
  sector: () => ({ color: colour("map-edge"), weight: 1, dashArray: "4 5", fillColor: colour("map-label"), fillOpacity: 0.04 }),
  green: () => ({ stroke: false, fillColor: colour("map-green"), fillOpacity: 1 }),
  sea: () => ({ stroke: false, fillColor: colour("map-sea"), fillOpacity: 1 }),
  water: () => ({ stroke: false, fillColor: colour("map-water"), fillOpacity: 1 }),
  river: () => line("map-water", 5),
  stream: () => line("map-water", 2.5),
  road: () => line("map-road", 3),
  street: () => line("map-street", 1.2),
};

// Told apart from afar: sectors and the main water. The rest is named when one looks closely.
const MAJOR = new Set(["sector", "river"]);

function label(feature, layer) {
  const name = feature.properties?.name;
  const kind = kindOf(feature);
  if (!name || kind === "commune" || kind === "sea") return;
  const classes = ["place-name"];
  if (kind === "river" || kind === "stream" || kind === "water") classes.push("is-water");
  if (kind === "sector" || kind === "green") classes.push(`is-${kind}`);
  if (!MAJOR.has(kind)) classes.push("is-minor");
  const text = document.createElement("span");
  text.textContent = name;
  const lies = kind === "sector" ? { direction: "bottom", offset: [0, 4] } : { direction: "center" };
  const tooltip = L.tooltip({ permanent: true, ...lies, className: classes.join(" "), interactive: false, pane: "names" });
  tooltip.setContent(text);
  // A sector's name hangs from its upper edge, so that what happens inside stays clear.
  if (kind === "sector") tooltip.setLatLng([layer.getBounds().getNorth(), layer.getBounds().getCenter().lng]).addTo(map);
  else layer.bindTooltip(tooltip);
}

async function drawSurface() {
  const collection = JSON.parse(await fragment(places.surface));
  collection.features.sort((a, b) => ORDER.indexOf(kindOf(a)) - ORDER.indexOf(kindOf(b)));
  surface = L.geoJSON(collection, {
    interactive: false,
    style: (feature) => STYLES[kindOf(feature)]?.() ?? {},
    pointToLayer: (_feature, at) => L.marker(at, { icon: L.divIcon({ className: "", iconSize: [0, 0] }), interactive: false, keyboard: false }),
    onEachFeature: label,
  }).addTo(map);
  fit();
}

// Once, as soon as the map has a size: on a phone it starts hidden.
function fit() {
  if (isFitted || !surface || !isVisible()) return;
  // The commune itself where the file holds it: the sea around it would only make it smaller.
  const commune = surface.getLayers().filter((layer) => kindOf(layer.feature) === "commune");
  const bounds = (commune.length ? L.featureGroup(commune) : surface).getBounds();
  if (!bounds.isValid()) return;
  isFitted = true;
  map.fitBounds(bounds, { padding: [18, 18] });
}

const restyle = () => surface?.setStyle((feature) => STYLES[kindOf(feature)]?.() ?? {});

function deviceStyle(state) {
  return state === "online"
    ? { radius: 4, weight: 1, color: colour("map-ground"), fillColor: colour("good"), fillOpacity: 0.9 }
    : { radius: 5, weight: 2, color: colour("bad"), fillColor: colour("map-ground"), fillOpacity: 1 };
}

export async function refreshDevices() {
  if (!places.devices) return;
  const list = JSON.parse(await fragment(places.devices));
  devices?.remove();
  devices = L.layerGroup();
  for (const device of list) {
    const text = document.createElement("span");
    text.textContent = `${device.name} · ${device.state_label}`;
    L.circleMarker([device.latitude, device.longitude], deviceStyle(device.state)).bindTooltip(text).addTo(devices);
  }
  devices.addTo(map);
}

function icon(card, index) {
  const size = SIZES[card.priority];
  const pin = document.createElement("span");
  pin.className = "mark";
  pin.textContent = card.code;
  const isWaiting = card.state === "received" && card.priority === "1";
  const classes = ["pin"];
  if (isWaiting) classes.push("is-waiting");
  if (card.alert === selected) classes.push("is-selected");
  return L.divIcon({
    html: pin,
    className: classes.join(" "),
    iconSize: [size, size],
    // Alerts of one place stand side by side rather than hide one another.
    iconAnchor: [size / 2 - index * (size * 0.8), size / 2],
  });
}

function place(card, index) {
  const at = [Number(card.lat), Number(card.lon)];
  const known = alerts.get(card.alert);
  const marker = known?.marker ?? L.marker(at, { keyboard: false });
  marker.setLatLng(at);
  // The chosen one on top, then the most urgent.
  marker.setZIndexOffset((card.alert === selected ? 9 : 5 - Number(card.priority)) * 1000);
  marker.setIcon(icon(card, index));
  if (!known) {
    marker.on("click", () => onPick(card.alert));
    marker.addTo(map);
    alerts.set(card.alert, { marker });
  }
  const element = marker.getElement();
  element.dataset.priority = card.priority;
  element.title = `${card.code} ${card.label}`;
}

export function redraw() {
  if (!map) return;
  const seen = new Map();
  const shown = new Set();
  for (const element of document.querySelectorAll("#cola [data-alert][data-lat]")) {
    const card = element.dataset;
    const spot = `${card.lat},${card.lon}`;
    const index = seen.get(spot) ?? 0;
    seen.set(spot, index + 1);
    shown.add(card.alert);
    place(card, index);
  }
  for (const [alertId, { marker }] of alerts) {
    if (shown.has(alertId)) continue;
    marker.remove();
    alerts.delete(alertId);
  }
}

// What a gateway or a group stands for: the area that its alerts lie in.
function drawArea() {
  area?.remove();
  area = null;
  const text = document.querySelector("#detalle [data-area]")?.dataset.area;
  if (!map || !text) return;
  const [south, west, north, east] = text.split(",").map(Number);
  const bounds = L.latLngBounds([south, west], [north, east]);
  area = L.rectangle(bounds, { color: colour("warn"), weight: 2, fillOpacity: 0.12, interactive: false }).addTo(map);
  if (isVisible() && !map.getBounds().contains(bounds)) map.fitBounds(bounds.pad(0.2));
}

export function select(alertId) {
  selected = alertId;
  redraw();
  drawArea();
  const at = alerts.get(alertId)?.marker.getLatLng();
  if (at && isVisible() && !map.getBounds().pad(-0.1).contains(at)) map.panTo(at);
}

export function resized() {
  map?.invalidateSize();
  if (map) fit();
}

// `from`: the addresses of the surface and, unless null, of the devices.
export async function start(pick, from = places) {
  onPick = pick;
  places = from;
  const box = document.getElementById("mapa");
  const { lat, lon, zoom } = box.dataset;
  map = L.map(box, {
    center: [Number(lat), Number(lon)],
    zoom: Number(zoom),
    zoomSnap: 0.25,
    attributionControl: false,
    keyboard: false,
    zoomControl: false,
  });
  L.control.zoom({ position: "topright", zoomInTitle: "Acercar", zoomOutTitle: "Alejar" }).addTo(map);
  map.createPane("names").style.zIndex = 450; // above the land, below everything that matters
  const near = () => {
    box.dataset.zoom = map.getZoom() >= 13.5 ? "near" : "far";
    restyle();
  };
  map.on("zoomend", near);
  addEventListener("tema", () => {
    restyle();
    refreshDevices().catch(() => {});
  });
  await drawSurface().catch(() => {});
  near();
  redraw();
  await refreshDevices().catch(() => {});
  setInterval(() => refreshDevices().catch(() => {}), 30_000);
}

