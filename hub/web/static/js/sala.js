// The wall: figures that are fresh, or plainly said to be old. Nobody touches this page for weeks.
import * as live from "./live.js";
import * as map from "./map.js";
import * as time from "./time.js";
import { fragment, parse, replace } from "./page.js";

const GATHER_MS = 1000; // a burst of alerts is one question
const AT_LEAST_MS = 60_000; // cameras and messages change without any alert
const OLD_MS = 3 * AT_LEAST_MS;

let lostSince = null;
let planned = 0;
let isAsking = false;
let isWanted = false;

const figuresAt = () => Date.parse(document.getElementById("cifras").dataset.at);

function show() {
  const line = document.getElementById("atraso");
  const state = document.getElementById("enlace");
  const isLost = lostSince !== null;
  document.body.classList.toggle("is-lost", isLost);
  line.hidden = !isLost;
  state.dataset.state = isLost ? "off" : "on";
  state.textContent = isLost ? "Sin conexión" : "En vivo";
  if (isLost) line.textContent = `Sin conexión desde ${time.clock(lostSince)} — lo que se ve es de las ${time.clock(figuresAt())}`;
}

function lost() {
  lostSince ??= time.hubNow();
  show();
}

// As many alerts as the screen holds; the rest is a number.
function fit() {
  const list = document.querySelector(".sala-alerts");
  const more = document.getElementById("faltan");
  if (!list || !more) return;
  const rows = [...list.children];
  const total = [...document.querySelectorAll(".sala-counts strong")].reduce((sum, one) => sum + Number(one.textContent), 0);
  for (const row of rows) row.hidden = false;
  more.hidden = true;
  if (getComputedStyle(list).overflow === "visible") return;
  const hide = () => {
    const bottom = list.getBoundingClientRect().bottom;
    for (const row of rows) if (row.getBoundingClientRect().bottom > bottom + 1) row.hidden = true;
    return rows.filter((row) => !row.hidden).length;
  };
  let shown = hide();
  if (shown === total) return;
  more.hidden = false; // its own line takes room from the list
  shown = hide();
  more.textContent = `y ${total - shown} más en la consola`;
}

async function refresh() {
  if (isAsking) {
    isWanted = true;
    return;
  }
  isAsking = true;
  isWanted = false;
  try {
    const next = parse(await fragment("/sala/cifras"));
    replace(next, "cifras");
    lostSince = null;
    show();
    time.tick();
    fit();
    map.redraw();
  } catch {
    lost();
  } finally {
    isAsking = false;
    if (isWanted) soon();
  }
}

function soon() {
  clearTimeout(planned);
  planned = setTimeout(refresh, GATHER_MS);
}

time.start();
fit();
addEventListener("resize", () => { fit(); map.resized(); });
map.start(() => {}, { surface: "/sala/comuna.geojson", devices: null });
live.start(soon, { stream: "/sala/eventos", probe: "/sala/cifras", show: (isUp) => { if (!isUp) lost(); } });
setInterval(refresh, AT_LEAST_MS);
// A hub that answers slowly or a sleeping machine: what counts is how old the figures are.
setInterval(() => { if (time.hubNow() - figuresAt() > OLD_MS) lost(); }, 2000);
document.fonts.ready.then(fit);
