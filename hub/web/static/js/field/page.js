// Small things that every screen uses.

export const el = (id) => document.getElementById(id);

// A new element: its text, attributes and children. Text is text, never HTML.
export function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "onclick") node.addEventListener("click", value);
    else if (name in node && typeof value === "boolean") node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

export const copy = (id) => el(id).content.firstElementChild.cloneNode(true);

export function option(value, text) {
  return make("option", { value }, text);
}

let hideToast = 0;

export function toast(text, isBad = false) {
  const box = el("aviso");
  box.textContent = text;
  box.classList.toggle("is-bad", isBad);
  box.hidden = false;
  clearTimeout(hideToast);
  hideToast = setTimeout(() => { box.hidden = true; }, isBad ? 8000 : 4000);
}

export function show(node, text) {
  node.textContent = text;
  node.hidden = !text;
}

const ZONE = "America/Santiago";
const formats = {
  time: new Intl.DateTimeFormat("es-CL", { hour: "2-digit", minute: "2-digit", hour12: false, timeZone: ZONE }),
  day: new Intl.DateTimeFormat("es-CL", { weekday: "long", day: "numeric", month: "short", timeZone: ZONE }),
  iso: new Intl.DateTimeFormat("sv-SE", { dateStyle: "short", timeZone: ZONE }),
};

export const clock = (at) => formats.time.format(new Date(at));
export const isoDay = (at = Date.now()) => formats.iso.format(new Date(at));

export function span(start, end) {
  const day = isoDay(start) === isoDay() ? "hoy" : formats.day.format(new Date(start));
  return `${day}, ${clock(start)} a ${clock(end)}`;
}
