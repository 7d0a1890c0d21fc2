// The chosen alert: shown without leaving the page, worked by forms that also work without this file.
import { csrf, fragment, isPhone, parse, replace, RequestError, toast } from "./page.js";
import * as queue from "./queue.js";

const area = () => document.getElementById("detalle");
export const shown = () => area()?.querySelector("[data-detail]")?.dataset.detail ?? null;

let onShown = () => {};
let emptyHtml = "";

// A person who is writing keeps the form; everything else of the detail is renewed around it.
const isWorking = () => area().querySelector("details[open] form") !== null;

function draw(html, alertId) {
  const source = parse(html);
  if (shown() === alertId && isWorking()) {
    for (const part of ["detalle-cabeza", "detalle-cubre", "detalle-avisos", "detalle-bitacora"]) replace(source, part);
    return;
  }
  area().replaceChildren(...source.body.childNodes);
}

export async function open(alertId, { push = true, isQuiet = false } = {}) {
  const isOther = shown() !== alertId;
  try {
    draw(await fragment(`/alertas/${alertId}`), alertId);
  } catch (error) {
    // A refresh that nobody asked for fails silently: the state of the line already says so.
    if (!isQuiet) toast(error.message, true);
    return;
  }
  document.body.classList.add("has-detail");
  queue.markCurrent(alertId);
  if (isOther) {
    area().scrollTop = 0;
    if (isPhone()) scrollTo(0, 0);
    if (push) history.pushState({ alertId }, "", `/?alerta=${alertId}`);
  }
  onShown(alertId);
}

export function close({ push = true } = {}) {
  if (!shown()) return;
  const alertId = shown();
  area().innerHTML = emptyHtml;
  document.body.classList.remove("has-detail");
  document.querySelector("#cola a[aria-current]")?.removeAttribute("aria-current");
  if (push) history.pushState({}, "", "/");
  document.querySelector(`#cola [data-alert="${alertId}"] a`)?.focus({ preventScroll: true });
  onShown(null);
}

export async function refresh(alertId) {
  if (shown() && (alertId === null || alertId === shown())) await open(shown(), { push: false, isQuiet: true });
}

async function send(form, submitter) {
  const body = new URLSearchParams(new FormData(form, submitter));
  submitter?.setAttribute("aria-busy", "true");
  try {
    const html = await fragment(form.getAttribute("action"), { method: "POST", body, headers: { "X-CSRF-Token": csrf } });
    form.closest("details")?.removeAttribute("open");
    const alertId = parse(html).querySelector("[data-detail]")?.dataset.detail;
    if (alertId && (shown() === alertId || form.closest("#detalle"))) draw(html, alertId);
    toast(submitter?.dataset.done ?? "Guardado");
  } catch (error) {
    toast(error.message, true);
    if (error instanceof RequestError && error.status === 409) await refresh(null);
  } finally {
    submitter?.removeAttribute("aria-busy");
  }
  await queue.refresh();
}

// Press the move's button, or open its form and go to the first field. False when it is not legal now.
export function press(move) {
  const button = area().querySelector(`.moves button[value="${move}"], .moves button[data-press="${move}"]`);
  const details = button?.closest("details");
  if (!button) return false;
  if (!details) {
    button.click();
    return true;
  }
  for (const other of area().querySelectorAll("details[open]")) if (other !== details) other.open = false;
  details.open = true;
  details.querySelector("select, textarea, input:not([type=hidden])")?.focus();
  return true;
}

export function closeForms() {
  const open = area()?.querySelectorAll("details[open]") ?? [];
  for (const details of open) details.open = false;
  return open.length > 0;
}

export function start(shownCallback) {
  onShown = shownCallback;
  emptyHtml = document.getElementById("sin-eleccion").innerHTML;
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.matches("[data-move-form]")) return;
    event.preventDefault();
    send(form, event.submitter);
  });
  document.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    const link = event.target.closest("a[data-open], a[data-close]");
    if (!link) return;
    event.preventDefault();
    if (link.dataset.open) open(link.dataset.open);
    else close();
  });
  addEventListener("popstate", () => {
    const alertId = new URLSearchParams(location.search).get("alerta");
    if (alertId) open(alertId, { push: false });
    else close({ push: false });
  });
}
