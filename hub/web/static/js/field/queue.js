// The queue as its owner sees it: what waits, what arrived, what was refused and why.
import * as outbox from "./outbox.js";
import { clock, el, make } from "./page.js";
import * as person from "./person.js";

const STATES = { waiting: "Por enviar", photos: "Faltan fotos", sent: "Enviado", refused: "Rechazado" };
const KINDS = { inspection: "Fiscalización", task: "Tarea", point: "Punto", checkin: "Marca de ronda" };
const SHOWN = 100;
let onCorrect = () => {};

export function start(correct) {
  onCorrect = correct;
  el("enviar").addEventListener("click", async () => {
    await person.contact({ isForced: true });
    await outbox.send();
  });
}

export async function redraw() {
  const records = await outbox.list();
  const count = (state) => records.filter((one) => one.state === state).length;
  const pending = count("waiting") + count("photos");
  const refused = count("refused");
  el("pendientes").textContent = pending + refused;
  el("pendientes").hidden = pending + refused === 0;
  el("resumen").textContent = `${pending} por enviar, ${refused} con rechazo, ${count("sent")} enviados.`;
  el("salida").textContent = pending + refused
    ? `Sin entregar: ${pending + refused}. Se conservan cifrados en este teléfono y solo usted los verá al ingresar de nuevo.`
    : "Todo fue entregado. Al salir no queda nada suyo en este teléfono.";
  el("cola").replaceChildren(...records.slice(0, SHOWN).map(line));
}

function line(record) {
  const title = `${KINDS[record.kind] ?? record.kind} ${record.folio}`.trim();
  const node = make("li", { "data-id": record.id },
    make("span", { class: "chip", "data-state": record.state }, STATES[record.state]),
    make("span", { class: "what" }, make("strong", {}, title), make("small", {}, `${clock(record.written)} · ${record.label}`)),
  );
  if (record.state === "refused") {
    node.append(make("p", { class: "reason" }, record.reason));
    if (record.kind === "inspection" && !record.isClosed) {
      node.append(make("button", { class: "button is-small", type: "button", onclick: () => onCorrect(record) }, "Corregir"));
    }
    node.append(make("button", { class: "button is-small", type: "button", onclick: () => outbox.retry(record.id) }, "Enviar de nuevo"));
  } else if (record.reason) node.append(make("p", { class: "reason is-note" }, record.reason));
  return node;
}
