// The live queue: fetched whole (it is small), compared by alert so that news can be told.
import { announce, fragment, parse, replace } from "./page.js";
import * as strip from "./strip.js";

const list = () => document.getElementById("cola");
export const cards = () => [...document.querySelectorAll("#cola .card:not([hidden])")];
const search = document.getElementById("buscar");

const PAUSE_MS = 250;

let onRedraw = () => {};
let running = null;
let isWaiting = false;

const versions = () => new Set([...document.querySelectorAll("#cola .card")].map((c) => c.dataset.alert));

function filter() {
  const words = search.value.toLocaleLowerCase("es").split(/\s+/).filter(Boolean);
  for (const card of document.querySelectorAll("#cola .card")) {
    const text = `${card.dataset.code} ${card.dataset.label} ${card.dataset.place}`.toLocaleLowerCase("es");
    // An alert of life is never filtered away.
    card.hidden = card.dataset.priority !== "1" && !words.every((word) => text.includes(word));
  }
}

function tellNews(before) {
  for (const card of document.querySelectorAll("#cola .card")) {
    if (before.has(card.dataset.alert)) continue;
    card.classList.add("is-new");
    const { priority, code, label, place } = card.dataset;
    announce(`Alerta nueva, prioridad ${priority}: ${code}, ${label}, ${place}`);
  }
}

function keepPlace(draw) {
  const focused = document.activeElement?.closest("#cola .card")?.dataset.alert;
  const scrolled = list().scrollTop;
  draw();
  list().scrollTop = scrolled;
  if (focused) document.querySelector(`#cola [data-alert="${focused}"] a`)?.focus({ preventScroll: true });
}

async function redraw() {
  const source = parse(await fragment("/cola"));
  const before = versions();
  const current = document.querySelector("#cola a[aria-current]")?.dataset.open;
  keepPlace(() => replace(source, "cola"));
  replace(source, "tira");
  const total = list().dataset.total;
  document.getElementById("cuenta").textContent = total;
  document.getElementById("cuenta-tab").textContent = total;
  if (current) markCurrent(current);
  filter();
  tellNews(before);
  strip.update();
  onRedraw();
}

// One fetch at a time; changes that arrive meanwhile are covered by one more.
export async function refresh() {
  if (running) {
    isWaiting = true;
    return running;
  }
  running = redraw().catch(() => {}).finally(() => { running = null; });
  await running;
  if (isWaiting) {
    isWaiting = false;
    // A storm of changes is drawn a few times a second, not as often as it blows.
    await new Promise((done) => setTimeout(done, PAUSE_MS));
    return refresh();
  }
}

export function markCurrent(alertId) {
  for (const link of document.querySelectorAll("#cola a[aria-current]")) link.removeAttribute("aria-current");
  document.querySelector(`#cola [data-alert="${CSS.escape(alertId)}"] a`)?.setAttribute("aria-current", "true");
}

export function move(step) {
  const all = cards();
  if (!all.length) return;
  const at = all.findIndex((card) => card.contains(document.activeElement));
  const current = at >= 0 ? at : all.findIndex((card) => card.querySelector("[aria-current]"));
  const next = current < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, current + step));
  const link = all[next].querySelector("a");
  link.focus();
  link.scrollIntoView({ block: "nearest" });
}

export function start(redrawn) {
  onRedraw = redrawn;
  search.hidden = false;
  search.addEventListener("input", filter);
  search.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      search.value = "";
      filter();
      search.blur();
    } else if (event.key === "Enter") {
      cards()[0]?.querySelector("a").focus();
    }
  });
}
