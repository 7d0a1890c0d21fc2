// Where the phone is, while somebody looks at the page. No position is kept but in a record.

const EARTH_M = 6_371_008.8;
const FRESH_MS = 60_000;
let watch = null;
let last = null;
let failure = "";
const changed = new EventTarget();

export const onChange = (act) => changed.addEventListener("change", act);
const tell = () => changed.dispatchEvent(new Event("change"));

export function start() {
  const look = () => (document.visibilityState === "visible" ? begin() : end());
  document.addEventListener("visibilitychange", look);
  look();
}

function begin() {
  if (watch !== null || !navigator.geolocation) return;
  watch = navigator.geolocation.watchPosition(
    ({ coords, timestamp }) => {
      last = { latitude: coords.latitude, longitude: coords.longitude, accuracy_m: coords.accuracy, timestamp };
      failure = "";
      tell();
    },
    (error) => {
      failure = error.code === 1 ? "Sin permiso para usar la posición." : "Sin posición por ahora.";
      tell();
    },
    { enableHighAccuracy: true, maximumAge: 5000 },
  );
}

function end() {
  if (watch !== null) navigator.geolocation.clearWatch(watch);
  watch = null;
}

// {latitude, longitude, accuracy_m} of the last minute, or null.
export function now() {
  if (!last || Date.now() - last.timestamp > FRESH_MS) return null;
  const { latitude, longitude, accuracy_m } = last;
  return { latitude, longitude, accuracy_m };
}

export function words() {
  const here = now();
  return here ? `Posición con error de ±${Math.round(here.accuracy_m)} m.` : failure || "Buscando posición…";
}

export function distance(a, b) {
  const rad = Math.PI / 180;
  const north = ((b.latitude - a.latitude) * rad) / 2;
  const east = ((b.longitude - a.longitude) * rad) / 2;
  const chord = Math.sin(north) ** 2
    + Math.cos(a.latitude * rad) * Math.cos(b.latitude * rad) * Math.sin(east) ** 2;
  return 2 * EARTH_M * Math.asin(Math.min(1, Math.sqrt(chord)));
}

// The nearest of `points` with its distance, or null without a position.
export function nearest(points) {
  const here = now();
  if (!here) return null;
  const measured = points.map((point) => ({ point, away: distance(here, point) }));
  return measured.sort((a, b) => a.away - b.away)[0] ?? null;
}

export const metres = (value) => (value < 1000 ? `${Math.round(value)} m` : `${(value / 1000).toFixed(1).replace(".", ",")} km`);
