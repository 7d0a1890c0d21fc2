// The control-room page.
import * as detail from "./detail.js";
import * as frame from "./frame.js";
import * as keys from "./keys.js";
import * as map from "./map.js";
import * as queue from "./queue.js";
import { toast } from "./page.js";

function startTabs() {
  const board = document.querySelector(".board");
  const tabs = { "ver-cola": false, "ver-mapa": true };
  for (const [id, isMap] of Object.entries(tabs)) {
    document.getElementById(id).addEventListener("click", () => {
      board.classList.toggle("show-map", isMap);
      for (const other of Object.keys(tabs)) {
        document.getElementById(other).setAttribute("aria-selected", String(other === id));
      }
      map.resized();
    });
  }
}

queue.start(map.redraw);
detail.start(map.select);
keys.start();
startTabs();
frame.start((change) => {
  queue.refresh();
  detail.refresh(change?.alert_id ?? null);
});
if (detail.shown()) queue.markCurrent(detail.shown());
map.start((alertId) => detail.open(alertId)).then(
  () => { if (detail.shown()) map.select(detail.shown()); },
  () => toast("El mapa no se pudo dibujar", true),
);
