// The keyboard: one letter for each act; nothing is taken while a person writes.
import * as detail from "./detail.js";
import * as queue from "./queue.js";
import { announce, toast } from "./page.js";

const MOVES = {
  a: "acknowledge",
  v: "verify",
  d: "dispatch",
  c: "close",
  n: "comment",
  t: "assign",
  m: "merge",
  p: "priority",
  r: "classify",
  l: "link",
};

const isWriting = (element) => element.matches("input, select, textarea, [contenteditable]");

async function act(move) {
  const marked = document.activeElement?.closest("#cola .card")?.dataset.alert;
  const chosen = marked ?? detail.shown() ?? queue.cards()[0]?.dataset.alert;
  if (!chosen) return;
  if (chosen !== detail.shown()) {
    // Never act on an alert that nobody has in front of them: show it, and wait for the second press.
    await detail.open(chosen);
    announce("Alerta abierta. Repita la tecla para actuar.");
    toast("Alerta abierta: repita la tecla para actuar");
    return;
  }
  if (!detail.press(move)) toast("Esa acción no corresponde en este estado", true);
}

const KEYS = {
  j: () => queue.move(1),
  ArrowDown: () => queue.move(1),
  k: () => queue.move(-1),
  ArrowUp: () => queue.move(-1),
  "/": () => document.getElementById("buscar").focus(),
  "?": () => document.getElementById("atajos").showModal(),
  Escape: () => detail.closeForms() || detail.close(),
};

export function start() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat && MOVES[event.key]) return;
    if (document.querySelector("dialog[open]")) return;
    if (isWriting(event.target)) {
      if (event.key === "Escape" && event.target.closest("#detalle details")) detail.closeForms();
      return;
    }
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const does = KEYS[key] ?? (MOVES[key] && (() => act(MOVES[key])));
    if (!does) return;
    // In the detail the arrows scroll, as everywhere.
    if (key.startsWith("Arrow") && event.target.closest("#detalle")) return;
    event.preventDefault();
    does();
  });
}
