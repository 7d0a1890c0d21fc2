// Ages and the wall clock run on the hub's clock: a wrong clock in the room must not show a wrong age.

let offsetMs = 0;

export function setHubTime(iso) {
  offsetMs = Date.parse(iso) - Date.now();
}

export const hubNow = () => Date.now() + offsetMs;

const two = (number) => String(number).padStart(2, "0");

// Mirrors hub/web/texts.py: age().
export function age(sinceMs) {
  const seconds = Math.max(0, Math.floor((hubNow() - sinceMs) / 1000));
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  const days = Math.floor(hours / 24);
  if (minutes < 10) return `${minutes}:${two(seconds % 60)}`;
  if (hours === 0) return `${minutes} min`;
  if (days === 0) return `${hours} h ${two(minutes % 60)}`;
  return `${days} d ${hours % 24} h`;
}

// Mirrors hub/web/texts.py: left().
export function left(dueMs) {
  const now = hubNow();
  return now < dueMs ? `quedan ${age(2 * now - dueMs)}` : `vencido hace ${age(dueMs)}`;
}

const wall = new Intl.DateTimeFormat("es-CL", {
  timeZone: document.body.dataset.timezone,
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
});

export const clock = (ms) => wall.format(ms);

export function tick() {
  for (const element of document.querySelectorAll("[data-age]")) {
    const text = age(Date.parse(element.dataset.age));
    if (element.textContent !== text) element.textContent = text;
  }
  for (const element of document.querySelectorAll("[data-due]")) {
    const dueMs = Date.parse(element.dataset.due);
    element.textContent = left(dueMs);
    const promise = element.closest("[data-promise]");
    if (promise && hubNow() > dueMs) promise.dataset.promise = "over";
  }
  const face = document.getElementById("reloj");
  if (face) face.textContent = clock(hubNow());
}

export function start() {
  if (document.body.dataset.now) setHubTime(document.body.dataset.now);
  tick();
  setInterval(tick, 1000);
}
