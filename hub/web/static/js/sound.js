// The chime of an alert of life that nobody took: two rising tones, made here, until somebody does.
import { recall, remember } from "./page.js";

const EVERY_MS = 3000;
const TONES = [[660, 0], [880, 0.18], [1175, 0.36]]; // [hertz, seconds after the start]

let context = null;
let isWanted = recall("sonido") !== "no";
let timer = 0;

const button = () => document.getElementById("sonido");
const isRunning = () => context?.state === "running";

function chime() {
  if (!isWanted || !isRunning()) return;
  for (const [hertz, delay] of TONES) {
    const at = context.currentTime + delay;
    const tone = context.createOscillator();
    const loudness = context.createGain();
    tone.type = "triangle";
    tone.frequency.value = hertz;
    loudness.gain.setValueAtTime(0.0001, at);
    loudness.gain.exponentialRampToValueAtTime(0.5, at + 0.02);
    loudness.gain.exponentialRampToValueAtTime(0.0001, at + 0.34);
    tone.connect(loudness).connect(context.destination);
    tone.start(at);
    tone.stop(at + 0.36);
  }
}

function show() {
  const isOn = isWanted && isRunning();
  button().setAttribute("aria-pressed", String(isOn));
  button().textContent = isOn ? "Sonido activado" : "Activar sonido";
}

async function wake() {
  context ??= new AudioContext();
  // A browser that wants a gesture first leaves this pending for ever; nobody waits for it.
  if (context.state !== "running") context.resume().then(show, show);
  show();
}

export function setAlarm(isOn) {
  if (isOn && !timer) {
    chime();
    timer = setInterval(chime, EVERY_MS);
  } else if (!isOn && timer) {
    clearInterval(timer);
    timer = 0;
  }
}

export function start() {
  button().hidden = false;
  button().addEventListener("click", async () => {
    isWanted = !(isWanted && isRunning());
    remember("sonido", isWanted ? "si" : "no");
    await wake();
    if (isWanted) context.resume().then(() => { show(); chime(); });
  });
  // Browsers allow sound only after a gesture: the first one anywhere on the page counts.
  const first = (event) => { if (isWanted && event.target !== button()) wake(); };
  addEventListener("pointerdown", first, { once: true });
  addEventListener("keydown", first, { once: true });
  show();
}
