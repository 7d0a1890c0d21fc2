// What all signed-in pages share: time, theme, sound, the strip and the live line.
import { forgetWhoIsHere } from "./field/store.js";
import * as live from "./live.js";
import * as presence from "./presence.js";
import * as sound from "./sound.js";
import * as strip from "./strip.js";
import * as time from "./time.js";
import { remember } from "./page.js";

function startTheme() {
  const button = document.getElementById("tema");
  const show = () => { button.textContent = document.documentElement.dataset.theme === "claro" ? "Oscuro" : "Claro"; };
  button.hidden = false;
  button.addEventListener("click", () => {
    const isLight = document.documentElement.dataset.theme === "claro";
    if (isLight) delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = "claro";
    remember("tema", isLight ? "oscuro" : "claro");
    show();
    dispatchEvent(new Event("tema"));
  });
  show();
}

// The field page works without a session, so a sign-out here must also end it there.
function forgetOnLeaving() {
  const form = document.querySelector('form[action="/salir"]');
  form?.addEventListener("submit", async (event) => {
    event.preventDefault();
    await forgetWhoIsHere().catch(() => {});
    form.submit();
  });
}

export function start(onChange) {
  forgetOnLeaving();
  time.start();
  startTheme();
  if (!("live" in document.body.dataset)) return;
  sound.start();
  strip.update();
  if ("presence" in document.body.dataset) presence.start();
  live.start(onChange);
}
