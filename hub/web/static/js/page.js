// What every module needs of the page: storage that may be closed, requests, short messages.

export const csrf = document.body.dataset.csrf ?? "";

export function remember(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch {
    // A private window forgets; nothing else is lost.
  }
}

export function recall(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

export class RequestError extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

export function toLogin() {
  location.assign(`/ingresar?siguiente=${encodeURIComponent(location.pathname + location.search)}`);
}

// Fetch an HTML fragment; throws a RequestError whose message is Spanish.
export async function fragment(path, options = {}) {
  let response;
  try {
    response = await fetch(path, {
      ...options,
      headers: { "X-Requested-With": "fetch", Accept: "application/problem+json", ...options.headers },
    });
  } catch {
    const isChange = options.method === "POST";
    throw new RequestError(0, isChange ? "Sin conexión: no se sabe si se guardó. Revise la bitácora." : "Sin conexión con el servidor.");
  }
  if (response.ok) return response.text();
  if (response.status === 401) toLogin();
  const problem = await response.json().catch(() => ({}));
  throw new RequestError(response.status, problem.detail ?? "El servidor falló.");
}

export function parse(html) {
  return new DOMParser().parseFromString(html, "text/html");
}

// Put the element of the same id from `source` in the place of ours; returns the new one.
export function replace(source, id) {
  const next = source.getElementById(id);
  const old = document.getElementById(id);
  if (!next || !old) return null;
  const adopted = document.adoptNode(next);
  old.replaceWith(adopted);
  return adopted;
}

let hideToast = 0;

export function toast(text, isBad = false) {
  const box = document.getElementById("aviso");
  if (!box) return;
  box.textContent = text;
  box.classList.toggle("is-bad", isBad);
  box.hidden = false;
  clearTimeout(hideToast);
  hideToast = setTimeout(() => { box.hidden = true; }, isBad ? 8000 : 4000);
}

export function announce(text) {
  const line = document.createElement("p");
  line.textContent = text;
  const log = document.getElementById("anuncios");
  log?.append(line);
  while (log && log.children.length > 20) log.firstChild.remove();
}

export const isPhone = () => matchMedia("(max-width: 1180px)").matches;
