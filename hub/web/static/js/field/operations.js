// Today's and tomorrow's operations: points, tasks. What was ticked here shows at once, sent or not.
import * as outbox from "./outbox.js";
import { clock, copy, el, make, span, toast } from "./page.js";
import * as person from "./person.js";
import * as place from "./place.js";

const PHASES = { before: "Antes", during: "Durante", after: "Después" };
let onInspect = () => {};

export function start(inspect) {
  onInspect = inspect;
}

export async function redraw() {
  const load = person.me?.load;
  el("carga").textContent = load ? `Actualizado a las ${clock(load.now)}. Operativos de ${person.me.institution}, hoy y mañana.` : "";
  const operations = load?.operations ?? [];
  const queue = (await outbox.list()).filter((one) => one.state !== "refused");
  el("lista-operativos").replaceChildren(
    ...(operations.length
      ? operations.map((one) => card(one, queue))
      : [make("div", { class: "panel empty" }, make("strong", {}, "Sin operativos"), "No hay operativos hoy ni mañana.")]),
  );
}

function card(operation, queue) {
  const node = copy("t-operativo");
  node.querySelector("h2").textContent = `${operation.folio} · ${operation.name || operation.kind}`;
  node.querySelector("[data-when]").textContent = `${span(operation.starts_at, operation.ends_at)} · ${operation.state} · ${operation.sector}`;
  node.querySelector("[data-basis]").textContent = operation.legal_basis.join(" · ");
  const mine = queue.filter((one) => one.body.operation_id === operation.id);
  node.querySelector("[data-points]").append(...operation.points.map((one) => point(operation, one, mine)));
  node.querySelector("[data-tasks]").append(...operation.tasks.map((one) => task(operation, one, mine)));
  node.querySelector("[data-inspect]").addEventListener("click", () => onInspect(operation.id));
  return node;
}

function point(operation, one, queue) {
  const is = (what) => (what === "visited" ? one.is_visited : one.is_cleared)
    || queue.some((item) => item.kind === "point" && item.body.point === one.point && item.body.what === what);
  const here = place.now();
  const away = here ? ` · a ${place.metres(place.distance(here, one))}` : "";
  return make("li", {},
    make("span", { class: "what" }, make("strong", {}, one.point), ` ${one.name}`, make("small", {}, away.slice(3))),
    pointButton(operation, one, "visited", "Visitado", is("visited")),
    pointButton(operation, one, "cleared", "Despejado", is("cleared")),
  );
}

function pointButton(operation, one, what, text, isDone) {
  if (isDone) return make("span", { class: "chip", "data-state": "sent" }, `✓ ${text}`);
  return make("button", {
    class: "button is-small",
    type: "button",
    "aria-label": `${text}: ${one.point}`,
    onclick: () => write("point", { operation_id: operation.id, point: one.point, what }, `${operation.folio}: ${one.point} ${text.toLowerCase()}`),
  }, text);
}

function task(operation, one, queue) {
  const written = queue.filter((item) => item.kind === "task" && item.body.position === one.position);
  const isDone = written.length ? written[0].body.is_done : one.is_done;
  const box = make("input", { type: "checkbox" });
  box.checked = isDone;
  box.addEventListener("change", () => {
    write("task", { operation_id: operation.id, position: one.position, is_done: box.checked }, `${operation.folio}: ${one.task}`);
  });
  const whose = [PHASES[one.phase], one.institution].filter(Boolean).join(" · ");
  return make("li", {}, make("label", {}, box, make("span", {}, one.task, make("small", {}, whose))));
}

async function write(kind, item, label) {
  await outbox.add(kind, item, { label });
  toast("Guardado en el teléfono");
  await outbox.send();
}
