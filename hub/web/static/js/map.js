// The commune's own vector map: no tiles, no other host. Colours come from the theme's CSS variables.
import { fragment } from "./page.js";

const SIZES = { 1: 42, 2: 52, 3: 38, 4: 38 };

let map = null;
let surface = null;
const alerts = new Map();
let devices = null;
let onPick = () => {};
let selected = null;

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

// What a feature is: `properties.kind`, English or Spanish, else guessed from its geometry.
const KINDS = {
  boundary: "commune", commune: "commune", comuna: "commune", limite: "commune", limit: "commune",
  sector: "sector", area: "sector", district: "sector", barrio: "sector", town: "sector", urban: "sector", village: "sector",
  park: "green", plaza: "green", green: "green", forest: "green", parque: "green",
  river: "river", rio: "river", canal: "river", stream: "river", estero: "river",
  water: "water", lake: "water", laguna: "water", lago: "water",
  road: "road", route: "road", ruta: "road", highway: "road", camino: "road",
  street: "street", calle: "street", track: "street", path: "street",
};
const BY_GEOMETRY = { Polygon: "sector", MultiPolygon: "sector", LineString: "road", MultiLineString: "road", Point: "point", MultiPoint: "point" };
const ORDER = ["commune", "green", "sector", "water", "river", "street", "road", "point"];

const kindOf = (feature) => KINDS[feature.properties?.kind] ?? BY_GEOMETRY[feature.geometry?.type] ?? "point";

const STYLES = {
  commune: () => ({ color: colour("map-edge"), weight: 2, fillColor: colour("map-land"), fillOpacity: 1 }),
  sector: () => ({ color: colour("map-edge"), weight: 1, dashArray: "4 5", fillColor: colour("map-label"), fillOpacity: 0.04 }),
  green: () => ({ stroke: false, fillColor: colour("map-green"), fillOpacity: 1 }),
  water: () => ({ stroke: false, fillColor: colour("map-water"), fillOpacity: 1 }),
  river: () => ({ color: colour("map-water"), weight: 6, lineCap: "round", fill: false }),
  road: () => ({ color: colour("map-road"), weight: 4, lineCap: "round", fill: false }),
  street: () => ({ color: colour("map-street"), weight: 2, lineCap: "round", fill: false }),
};

const isMinor = (kind) => kind === "road" || kind === "street" || kind === "point";

function label(feature, layer) {
  const name = feature.properties?.name;
  const kind = kindOf(feature);
  if (!name || kind === "commune") return;
  const classes = ["place-name"];
  if (kind === "river" || kind === "water") classes.push("is-water");
  if (isMinor(kind)) classes.push("is-minor");
  const text = document.createElement("span");
  text.textContent = name;
  layer.bindTooltip(text, { permanent: true, direction: "center", className: classes.join(" "), interactive: false });
}

async function drawSurface() {
  const collection = JSON.parse(await fragment("/mapa/comuna.geojson"));
  collection.features.sort((a, b) => ORDER.indexOf(kindOf(a)) - ORDER.indexOf(kindOf(b)));
  surface = L.geoJSON(collection, {
    interactive: false,
    style: (feature) => STYLES[kindOf(feature)]?.() ?? {},
    pointToLayer: (_feature, at) => L.circleMarker(at, { radius: 0, stroke: false, interactive: false }),
    onEachFeature: label,
  }).addTo(map);
  const bounds = surface.getBounds();
  if (bounds.isValid()) map.fitBounds(bounds, { padding: [18, 18] });
}

function deviceStyle(state) {
  return state === "online"
    ? { radius: 4, weight: 1, color: colour("map-ground"), fillColor: colour("good"), fillOpacity: 0.9 }
    : { radius: 5, weight: 2, color: colour("bad"), fillColor: colour("map-ground"), fillOpacity: 1 };
}

export async function refreshDevices() {
  const list = JSON.parse(await fragment("/mapa/dispositivos.json"));
  devices?.remove();
  devices = L.layerGroup();
  for (const device of list) {
    const text = document.createElement("span");
    text.textContent = `${device.name} · ${device.state_label}`;
    L.circleMarker([device.latitude, device.longitude], deviceStyle(device.state)).bindTooltip(text).addTo(devices);
  }
  devices.addTo(map);
  for (const { marker } of alerts.values()) marker.setZIndexOffset(marker.options.zIndexOffset);
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
  const marker = known?.marker ?? L.marker(at, { zIndexOffset: (5 - Number(card.priority)) * 1000, keyboard: false });
  marker.setLatLng(at);
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
  for (const element of document.querySelectorAll("#cola .card[data-lat]")) {
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

export function select(alertId) {
  selected = alertId;
  redraw();
  const at = alerts.get(alertId)?.marker.getLatLng();
  if (at && !map.getBounds().pad(-0.1).contains(at)) map.panTo(at);
}

export const resized = () => map?.invalidateSize();

export async function start(pick) {
  onPick = pick;
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
  const near = () => { box.dataset.zoom = map.getZoom() >= 14.5 ? "near" : "far"; };
  map.on("zoomend", near);
  addEventListener("tema", () => { surface?.setStyle((f) => STYLES[kindOf(f)]?.() ?? {}); refreshDevices().catch(() => {}); });
  await drawSurface().catch(() => {});
  near();
  redraw();
  await refreshDevices().catch(() => {});
  setInterval(() => refreshDevices().catch(() => {}), 30_000);
}

