// The register that the phone carries: searched by folio alone, also without a network.
import { el, isoDay, make } from "./page.js";
import * as person from "./person.js";
import * as qr from "./qr.js";

export const STANDINGS = {
  valid: "Vigente",
  not_yet: "Aún no rige",
  expired: "Vencido",
  suspended: "Suspendido",
  revoked: "Caducado",
  unknown: "No figura",
};

const inWords = (day) => day.split("-").reverse().join("-");

const SAID = {
  valid: (permit) => `vigente hasta el ${inWords(permit.valid_until)}`,
  not_yet: (permit) => `rige recién desde el ${inWords(permit.valid_from)}`,
  expired: (permit) => `venció el ${inWords(permit.valid_until)}`,
  suspended: () => "suspendido",
  revoked: () => "caducado",
};

// {standing, folio, trade, place, until}; standing "none" where the phone carries no register.
export function look(text) {
  const folio = qr.codeOf(text);
  const register = person.me?.permits;
  if (!register || !register.rows.length) return { folio, standing: "none" };
  const row = register.rows.find((one) => one.folio === folio);
  if (!row) return { folio, standing: "unknown" };
  return { ...row, standing: standing(row, isoDay()) };
}

// The same rule as the hub's (hub/fieldwork/permits.py).
function standing(permit, today) {
  if (permit.state !== "active") return permit.state;
  if (permit.valid_until < today) return "expired";
  return permit.valid_from && permit.valid_from > today ? "not_yet" : "valid";
}

export function words(found) {
  if (found.standing === "none") return "Este teléfono no lleva el registro de permisos; queda sin verificar.";
  if (found.standing === "unknown") return `${found.folio} no figura en el registro que lleva el teléfono.`;
  return `${found.folio}: ${SAID[found.standing](found)} · ${found.trade} · ${found.place}`;
}

export function start() {
  el("buscar-permiso").addEventListener("submit", (event) => {
    event.preventDefault();
    if (el("folio").value.trim()) draw(look(el("folio").value));
  });
  qr.canRead().then((can) => {
    el("sin-qr").hidden = can;
    for (const button of document.querySelectorAll("[data-read]")) {
      button.hidden = !can;
      button.addEventListener("click", async () => {
        const text = await qr.read().catch(() => null);
        if (text === null) return;
        const field = el(button.dataset.read);
        field.value = qr.codeOf(text);
        field.dispatchEvent(new Event("leido", { bubbles: true }));
      });
    }
  });
  el("folio").addEventListener("leido", () => draw(look(el("folio").value)));
}

function draw(found) {
  const lines = found.trade
    ? [make("p", {}, found.trade), make("p", {}, found.place), make("p", { class: "muted" }, `Hasta el ${inWords(found.valid_until)}`)]
    : [make("p", {}, words(found))];
  const label = STANDINGS[found.standing] ?? "Sin registro";
  el("hallado").replaceChildren(
    make("div", { class: "panel" },
      make("h2", {}, found.folio),
      make("div", {}, make("span", { class: "chip", "data-standing": found.standing }, label)),
      ...lines,
    ),
  );
}

export function redraw() {
  const register = person.me?.permits;
  el("registro").textContent = register?.rows.length
    ? `El teléfono lleva ${register.rows.length.toLocaleString("es-CL")} permisos, registro del ${inWords(isoDay(register.imported_at))}. Solo folios y lugares.`
    : "El teléfono no lleva ningún registro de permisos.";
}
