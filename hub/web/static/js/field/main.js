// The inspector's page. It starts from the phone alone; the hub is asked afterwards.
import * as form from "./form.js";
import * as operations from "./operations.js";
import * as outbox from "./outbox.js";
import { el, show, toast } from "./page.js";
import * as permits from "./permits.js";
import * as person from "./person.js";
import * as place from "./place.js";
import * as queue from "./queue.js";
import * as rounds from "./rounds.js";
import * as worker from "./worker.js";

const SCREENS = ["fiscalizar", "operativos", "rondas", "permisos", "envios"];
const LOOK_EVERY_MS = 30_000;
const SIGNAL = { on: "Con señal", off: "Sin conexión", out: "Sesión vencida", refused: "Sin permiso", starting: "Conectando…" };
let shownLogin = null;

function screen() {
  const wanted = location.hash.slice(1);
  return SCREENS.includes(wanted) ? wanted : SCREENS[0];
}

async function redraw() {
  const isIn = Boolean(person.me?.load);
  el("senal").textContent = SIGNAL[person.link];
  el("senal").dataset.state = person.link === "on" ? "on" : person.link === "starting" ? "starting" : "off";
  el("vencida").hidden = !(isIn && person.link === "out");
  show(el("problema"), person.link === "refused" ? person.refusal : "");
  el("entrada").hidden = isIn || person.link === "starting";
  el("secciones").hidden = !isIn;
  if (isIn) el("quien").textContent = `${person.me.login} · ${person.me.institution}`;
  for (const name of SCREENS) el(name).hidden = !isIn || name !== screen();
  for (const link of el("secciones").children) {
    if (link.hash === `#${screen()}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (!isIn) return;
  await Promise.all([operations.redraw(), rounds.redraw(), queue.redraw()]);
  permits.redraw();
}

// Fill the form once for each person, and with each new load.
async function refill() {
  if (!person.me?.load) {
    shownLogin = null;
    return;
  }
  form.fill();
  if (shownLogin === person.me.login) return;
  shownLogin = person.me.login;
  await form.restore();
}

async function contact(options) {
  const before = person.me?.load;
  await person.contact(options);
  if (person.me?.load !== before) await refill();
  await redraw();
  if (person.link === "on") await outbox.send();
}

async function leave() {
  const dialog = el("confirma");
  const records = await outbox.list();
  const left = records.filter((one) => one.state !== "sent").length;
  dialog.querySelector("p").textContent = left
    ? `Sin entregar: ${left}. Se conservan cifrados y se enviarán cuando usted vuelva a ingresar en este teléfono.`
    : "Al salir no queda nada suyo en este teléfono.";
  dialog.returnValue = "no";
  dialog.showModal();
  await new Promise((resolve) => { dialog.addEventListener("close", resolve, { once: true }); });
  if (dialog.returnValue !== "si") return;
  await person.leave();
  location.replace("/terreno");
}

async function start() {
  if (!globalThis.crypto?.subtle || !("indexedDB" in globalThis)) {
    show(el("problema"), "Esta página necesita HTTPS y un navegador que guarde datos; en ventana privada no sirve.");
    return;
  }
  form.start();
  permits.start();
  queue.start(async (record) => { await form.correct(record); location.hash = "#fiscalizar"; });
  operations.start((id) => { form.inspectIn(id); location.hash = "#fiscalizar"; });
  outbox.onChange(redraw);
  place.onChange(() => { if (["rondas", "operativos"].includes(screen())) redraw(); });
  addEventListener("hashchange", async () => { await redraw(); scrollTo(0, 0); });
  el("salir").addEventListener("click", leave);
  await person.start();
  if (person.me) {
    await refill();
    await redraw();
    await outbox.tidy();
  }
  place.start();
  navigator.storage?.persist?.();
  addEventListener("online", () => contact());
  addEventListener("offline", () => contact());
  document.addEventListener("visibilitychange", () => { if (document.visibilityState === "visible") contact(); });
  setInterval(() => { if (document.visibilityState === "visible") contact(); }, LOOK_EVERY_MS);
  await contact();
  await worker.start();
}

start().catch((error) => {
  console.error(error);
  toast("La página falló; ciérrela y ábrala de nuevo. Lo guardado sigue en el teléfono.", true);
});
