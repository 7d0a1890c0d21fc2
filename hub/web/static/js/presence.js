// Says once a minute that somebody sits at this console. A page that nobody looks at says nothing.
import { csrf, fragment } from "./page.js";

const EVERY_MS = 60_000; // hub/notify/room.py calls the room silent after five minutes
const ASK_AFTER_MS = 8 * 60_000;
const AWAY_AFTER_MS = 10 * 60_000;
const SIGNS = ["pointerdown", "pointermove", "keydown", "wheel", "touchstart"];

let lastSignAt = Date.now();
let lastBeatAt = 0;

const question = () => document.getElementById("presencia");
const isThere = () => !document.hidden && Date.now() - lastSignAt < AWAY_AFTER_MS;

async function beat() {
  lastBeatAt = Date.now();
  // A beat that fails is followed by the next one; the state of the line already tells that it is down.
  await fragment("/presencia", { method: "POST", headers: { "X-CSRF-Token": csrf } }).catch(() => {});
}

function look() {
  question().hidden = Date.now() - lastSignAt < ASK_AFTER_MS;
  if (isThere() && Date.now() - lastBeatAt >= EVERY_MS) beat();
}

function sign() {
  const wasAway = !isThere();
  lastSignAt = Date.now();
  if (!question().hidden || wasAway) look();
}

export function start() {
  for (const name of SIGNS) addEventListener(name, sign, { passive: true });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) sign(); });
  look();
  setInterval(look, 5_000);
}
