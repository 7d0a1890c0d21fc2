// Alerts of life without acknowledgement: the strip, the title and the sound say so until one takes them.
import * as sound from "./sound.js";
import { fragment, parse, replace } from "./page.js";

const title = document.title;

export function waitingCount() {
  return Number(document.querySelector("#tira [data-waiting]")?.dataset.waiting ?? 0);
}

export function update() {
  const count = waitingCount();
  document.title = count ? `(${count}) SIN ACUSE · ${title}` : title;
  sound.setAlarm(count > 0);
}

// Pages other than the console have only the strip to keep fresh.
export async function refresh() {
  replace(parse(await fragment("/tira")), "tira");
  update();
}
