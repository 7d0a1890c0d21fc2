// Rounds: presence at points, by position or by the point's code. What proves nothing says so before it is sent.
import * as outbox from "./outbox.js";
import { clock, copy, el, make, span, toast } from "./page.js";
import * as person from "./person.js";
import * as place from "./place.js";
import * as qr from "./qr.js";

const SHARP_M = 100;
export const VERDICTS = {
  proven: "Comprobada",
  unsupported: "Sin posición que la compruebe",
  contradicted: "La posición dice otro lugar",
};

let canRead = false;
qr.canRead().then((can) => { canRead = can; });

export async function redraw() {
  el("posicion-ronda").textContent = place.words();
  const rounds = person.me?.load?.rounds ?? [];
  const queue = (await outbox.list()).filter((one) => one.kind === "checkin" && one.state !== "refused");
  el("lista-rondas").replaceChildren(
    ...(rounds.length
      ? rounds.map((one) => card(one, queue.filter((item) => item.body.round_id === one.id)))
      : [make("div", { class: "panel empty" }, make("strong", {}, "Sin rondas"), "No hay rondas hoy ni mañana.")]),
  );
}

function card(round, queue) {
  const node = copy("t-ronda");
  node.querySelector("h2").textContent = round.name;
  node.querySelector("[data-when]").textContent = `${span(round.starts_at, round.ends_at)} · una marca cada ${Math.round(round.max_gap_s / 60)} min`;
  node.querySelector("[data-points]").append(...round.points.map((one) => point(round, one, queue)));
  const field = node.querySelector("[data-code]");
  const typed = (text, way) => {
    const code = qr.codeOf(text);
    const found = round.points.find((one) => one.code === code);
    if (found) return checkIn(round, found, way);
    return toast(`El código ${code || "vacío"} no es de esta ronda.`, true);
  };
  node.querySelector("[data-typed]").addEventListener("click", () => typed(field.value, "code"));
  const reader = node.querySelector("[data-qr]");
  reader.hidden = !canRead;
  reader.addEventListener("click", async () => {
    const text = await qr.read().catch(() => null);
    if (text !== null) await typed(text, "qr");
  });
  return node;
}

function point(round, one, queue) {
  const here = place.now();
  const marks = [
    ...one.marks.map((mark) => chip(mark.verdict, `${clock(mark.at)} ${VERDICTS[mark.verdict]}`)),
    ...queue.filter((item) => item.body.code === one.code && item.state !== "sent")
      .map((item) => chip("unsupported", `${clock(item.body.at)} por enviar`)),
    ...queue.filter((item) => item.body.code === one.code && item.state === "sent" && !one.marks.some((mark) => mark.id === item.id))
      .map((item) => chip("", `${clock(item.body.at)} enviada`)),
  ];
  return make("li", {},
    make("span", { class: "what" }, make("strong", {}, one.name),
      make("small", {}, here ? `a ${place.metres(place.distance(here, one))}` : "")),
    make("button", {
      class: "button is-small", type: "button", "aria-label": `Marcar ${one.name} por posición`,
      onclick: () => checkIn(round, one, "position"),
    }, "Marcar aquí"),
    ...marks,
  );
}

const chip = (verdict, text) => make("span", { class: "chip", "data-verdict": verdict }, text);

async function checkIn(round, point, way) {
  const where = place.now();
  if (way === "position" && !where) {
    toast("Sin posición no se puede marcar así; espere la señal GPS o use el código del punto.", true);
    return;
  }
  await outbox.add("checkin", { round_id: round.id, code: point.code, way, where }, { label: `${round.name}: ${point.name}` });
  const isWeak = !where || where.accuracy_m > SHARP_M;
  toast(isWeak ? "Guardada, pero sin una posición que la compruebe" : `Guardada, a ${place.metres(place.distance(where, point))} del punto`, isWeak);
  await outbox.send();
}
