// The service worker keeps this page for when there is no network. A new version waits until it is wanted:
// nothing changes under the fingers of whoever is writing.
import { el } from "./page.js";

export async function start() {
  if (!("serviceWorker" in navigator)) return;
  const hadOne = Boolean(navigator.serviceWorker.controller);
  let registration;
  try {
    registration = await navigator.serviceWorker.register("/terreno/sw.js", { scope: "/terreno", updateViaCache: "none" });
  } catch {
    return;  // without a network, or signed out: the worker of before goes on
  }
  const offer = () => { el("nueva").hidden = !(registration.waiting && navigator.serviceWorker.controller); };
  registration.addEventListener("updatefound", () => {
    registration.installing?.addEventListener("statechange", offer);
  });
  offer();
  el("actualizar").addEventListener("click", () => registration.waiting?.postMessage("usar"));
  // The first worker takes over a page that is already right; a later one brings a new page.
  navigator.serviceWorker.addEventListener("controllerchange", () => { if (hadOne) location.reload(); });
}
